"""Tokens that are fields joined by "~", as Akamai and Media CDN write them."""

from __future__ import annotations

import re

from countermark.core.errors import ParameterInvalid

MAX_TOKEN = 2048

_TEXT = re.compile(r"[!-~]+")


def read_fields(token: str, names: tuple[str, ...]) -> dict[str, str]:
    """The fields of a token by name; a field without "=" has an empty value. Raises ParameterInvalid.

    They stand in the order of `names` and once each: a value in which a signer left a "~" would bring in fields of
    its own, and readers disagree on which of two counts.
    """
    if len(token) > MAX_TOKEN or not _TEXT.fullmatch(token):
        raise ParameterInvalid(f"A token has 1 to {MAX_TOKEN} printable characters without spaces.")
    fields: dict[str, str] = {}
    left = iter(names)
    for field in token.split("~"):
        name, _, value = field.partition("=")
        if name not in left:
            raise ParameterInvalid(f"A token's fields stand once each, in this order: {', '.join(names)}.")
        fields[name] = value
    return fields
