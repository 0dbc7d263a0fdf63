"""Moments on the command line."""

from __future__ import annotations

import time
from typing import Any

import click

from countermark.settings.units import parse_moment


class MomentType(click.ParamType[int]):
    """Unix seconds, an RFC 3339 time with its offset, or "now"."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "now":
            return int(time.time())
        try:
            return value if isinstance(value, int) else parse_moment(value)
        except ValueError:
            self.fail('must be a time such as 2026-01-31T12:00:00Z, unix seconds, or "now"', param, ctx)


def spelled(moment: float | None) -> str:
    """RFC 3339 in UTC, or a hyphen."""
    return "-" if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
