"""Where a client's address stands in a glued text beside something else without anything between them."""

from __future__ import annotations

import re
from ipaddress import ip_address

_ADDRESS_END = frozenset("0123456789abcdef:.")
_TEN_DIGITS = re.compile(r"[1-9][0-9]{9}", re.ASCII)


def wanders(before: str, expires: str, address: str) -> bool:
    """Whether the text `before` + `expires` + `address` can also be cut so that the address is longer.

    `/img/1` for 27.0.0.1 and `/img/` for 127.0.0.1 are one text: without this rule, whoever has the one address may use
    the URL of the other for another picture. Of all cuts only the one with the longest address is taken. `expires` is
    ten digits, or "" where none stands between the two.
    """
    text = before + expires
    for size in range(1, len(text) + 1):
        if text[-size] not in _ADDRESS_END:
            return False
        cut = not expires or _TEN_DIGITS.fullmatch(text[-size - 10 : -size]) is not None
        if cut and _is_address(text[-size:] + address):
            return True
    return False


def _is_address(text: str) -> bool:
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False
