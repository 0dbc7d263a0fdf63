"""Conditional and range requests, RFC 9110 §13 and §14, as pure decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from countermark.core.errors import RangeNotSatisfiable
from countermark.ports import ByteRange

_RANGE = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))\Z", re.IGNORECASE)


def matches(header: str, etag: str) -> bool:
    """Whether If-None-Match names this tag: weak comparison, lists and `*` (RFC 9110 §13.1.2)."""
    if header.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in header.split(","))


def not_modified(headers: Mapping[str, str], etag: str, modified: float | None) -> bool:
    """Whether the client's copy is still good. If-None-Match, where present, makes If-Modified-Since void."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return matches(tags, etag)
    since = headers.get("if-modified-since")
    if since is None or modified is None:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def wanted_range(headers: Mapping[str, str], etag: str, size: int) -> ByteRange | None:
    """The one satisfiable range that is asked for, None to send everything.

    Several ranges, other units and malformed ones are ignored, as RFC 9110 §14.2 allows. If-Range holds only for our
    strong tag. Raises RangeNotSatisfiable.
    """
    text = headers.get("range")
    if text is None or headers.get("if-range", etag) != etag:
        return None
    found = _RANGE.match(text.strip())
    if found is None:
        return None
    first_text, last_text, suffix = found.groups()
    if suffix is not None:
        first, last = max(0, size - int(suffix)), size - 1
        satisfiable = int(suffix) > 0 and size > 0
    else:
        first, last = int(first_text), min(int(last_text or size), size - 1)
        if last_text and int(last_text) < first:
            return None
        satisfiable = first < size
    if not satisfiable:
        raise RangeNotSatisfiable("The range lies outside the picture.", size=size)
    return ByteRange(first, last)
