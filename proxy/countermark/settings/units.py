"""Sizes, durations and moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}  # fmt: skip
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MEASURE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?([A-Za-z]{0,3})", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of "512", "64KiB", "1.5GB". Raises ValueError."""
    number, unit = _measured(text)
    if unit.lower() not in _SIZES:
        raise ValueError(text)
    return round(float(number) * _SIZES[unit.lower()]) if "." in number else int(number) * _SIZES[unit.lower()]


def parse_duration(text: str) -> float:
    """Seconds of "30", "500ms", "10s", "5m", "12h", "7d". Raises ValueError."""
    number, unit = _measured(text)
    if unit == "ms":
        return float(number) / 1000
    if unit not in _SECONDS:
        raise ValueError(text)
    return float(number) * _SECONDS[unit]


def parse_life(text: str) -> int:
    """A duration of whole seconds, at least one: "90s", "15m", "12h", "7d". Raises ValueError."""
    seconds = parse_duration(text)
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(text)
    return int(seconds)


def parse_moment(text: str) -> int:
    """Unix seconds of digits, or of an RFC 3339 time with its offset: 2026-01-31T12:00:00Z. Raises ValueError."""
    if re.fullmatch(r"[0-9]{1,11}", text):
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return int(moment.timestamp())


def format_moment(moment: int) -> str:
    """Unix seconds as an RFC 3339 time of UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def format_size(size: int) -> str:
    """The shortest exact spelling of a number of bytes."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        factor = _SIZES[unit.lower()]
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_duration(seconds: float) -> str:
    """The shortest spelling of a number of seconds, exact down to milliseconds."""
    if 0 < seconds < 1:
        return f"{round(seconds * 1000)}ms"
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{round(seconds, 3)}s"


def _measured(text: str) -> tuple[str, str]:
    match = _MEASURE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return match[1], match[2]
