"""What `countermark doctor` says of one thing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True, kw_only=True):
    """`advice` says what to do where `state` is not ok."""

    check: str
    state: Literal["ok", "warn", "fail"]
    message: str
    advice: str = ""
