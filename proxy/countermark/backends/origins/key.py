"""The second line against keys that would leave their folder or bucket; the first is the target's own grammar."""

from __future__ import annotations

from countermark.core.errors import OriginalMissing


def checked(key: str) -> str:
    """The key itself, or OriginalMissing where no object can have that name.

    Dot segments climb out of a prefix, NUL cuts a path in C code, an empty key or segment reads a listing in some stores.
    """
    segments = key.split("/")
    if "\0" in key or any(segment in ("", ".", "..") for segment in segments) or not _is_text(key):
        raise missing(key)
    return key


def missing(key: str, *, private: str = "") -> OriginalMissing:
    """The error for an object that is not there."""
    return OriginalMissing("The origin has no such object.", private=private or f"key {key!r}")


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # lone surrogates have no UTF-8 form
        return False
    return True
