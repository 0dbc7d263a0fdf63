"""An answer, before any HTTP library has seen it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import Struct


class Answer(Struct, frozen=True, kw_only=True):
    """Status, header fields in order, and either the whole `body` or a `stream` of `length` bytes (None: unknown).

    A stream has its first bytes in hand already, so that a failure to read never follows a 200. Whoever sends the
    answer closes the stream, also when the client went away. A HEAD answer has no body but keeps `length`. `momentary` are
    further fields, which hardly another answer has just so.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    momentary: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    stream: AsyncGenerator[bytes, None] | None = None
    length: int | None = None
