"""Credentials in a Cookie field, read strictly (RFC 6265 §4.1.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from countermark.core.errors import ParameterInvalid

MAX_VALUE = 4096

_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")


def read_cookie(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a cookie as it stands, None where there is none.

    A cookie of which there are two is refused, because a browser sends both where a foreign page or a sibling domain has
    set one (cookie tossing), and who reads the first disagrees with who reads the last. Raises ParameterInvalid.
    """
    found = [value for written, value in _pairs(headers) if written == name]
    if not found:
        return None
    if len(found) > 1:
        raise ParameterInvalid(f"The cookie {name} was sent twice.")
    if len(found[0]) > MAX_VALUE or not _VALUE.fullmatch(found[0]):
        raise ParameterInvalid(f"The cookie {name} is too long or holds a character that a cookie's value cannot have.")
    return found[0]


def cookie_names(headers: Mapping[str, str]) -> frozenset[str]:
    """The names of all cookies that were sent."""
    return frozenset(name for name, _ in _pairs(headers))


def _pairs(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    written = (pair.strip(" \t").partition("=") for pair in headers.get("cookie", "").split(";"))
    return [(name, value) for name, mark, value in written if mark]
