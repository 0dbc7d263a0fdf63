"""Expiry times as URLs write them."""

from __future__ import annotations

import re

from countermark.core.errors import ParameterInvalid

_TEN_DIGITS = re.compile(r"[1-9][0-9]{9}", re.ASCII)
_DIGITS = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


def read_expiry(name: str, text: str) -> int:
    """Unix seconds of exactly ten ASCII digits without leading zero, or ParameterInvalid.

    Where a format puts nothing between the expiry and its neighbour, the fixed length is what keeps a token for /img/17
    from opening /img/1 with an expiry that has one digit more. `int` alone also reads "+1", "1_0" and other scripts.
    """
    if not _TEN_DIGITS.fullmatch(text):
        raise ParameterInvalid(f"{name} must be a time in unix seconds: ten digits.")
    return int(text)


def quantised(now: float, life: int) -> int:
    """An expiry at most `life` seconds away and at least three quarters of that, the same for all who ask meanwhile.

    So one picture keeps one URL for a quarter of its life, which is what lets a cache in front keep the picture.
    """
    window = max(1, life // 4)
    return int(now + life) // window * window


def read_delimited(name: str, text: str) -> int:
    """Unix seconds of one to ten ASCII digits without leading zero, where a delimiter guards the number's ends.

    Raises ParameterInvalid. Vendors' published examples have times of nine digits and fewer.
    """
    if not _DIGITS.fullmatch(text):
        raise ParameterInvalid(f"{name} must be a time in unix seconds: up to ten digits.")
    return int(text)
