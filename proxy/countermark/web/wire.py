"""An Answer becomes bytes: one header block, one write, and a stream that never ends cleanly when it failed."""

from __future__ import annotations

from contextlib import aclosing
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from msgspec import Struct

from countermark.core.answer import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from countermark.web.connection import Connection

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_LAST_CHUNK = b"0\r\n\r\n"


class StreamCut(Exception):
    """A stream failed after its header had left; the connection was cut so that the client notices. `sent` bytes went."""

    def __init__(self, sent: int) -> None:
        super().__init__(sent)
        self.sent = sent


class Dates:
    """The Date field, made anew once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line


class Framing(Struct, frozen=True, kw_only=True):
    """How one answer is framed. `old` is HTTP/1.0, which keeps a connection only when told so."""

    body: bool
    chunked: bool
    keep: bool
    old: bool


def frame(answer: Answer, *, method: str, old: bool, keep: bool) -> Framing:
    """RFC 9112 §6. No body after HEAD, on 204 and on 304 (RFC 9110 §6.4.1).

    A body of unknown length is chunked; HTTP/1.0 has no other end for it than the connection's.
    """
    body = method != "HEAD" and answer.status not in (204, 304)
    endless = body and answer.stream is not None and answer.length is None
    return Framing(body=body, chunked=endless and not old, keep=keep and not (endless and old), old=old)


def header_block(answer: Answer, framing: Framing, date: bytes) -> bytes:
    """Status line and fields.

    Raises ValueError for a field with a line break or NUL in it (response splitting) or with text outside Latin-1.
    """
    lines = [_STATUS_LINES[answer.status], date, _remembered_lines(answer.headers)]
    if answer.momentary:
        lines.append(_field_lines(answer.momentary))
    if framing.chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif answer.length is not None:
        lines.append(b"Content-Length: %d\r\n" % answer.length)
    elif answer.stream is None and answer.status not in (204, 304):
        lines.append(b"Content-Length: %d\r\n" % len(answer.body))
    if not framing.keep:
        lines.append(b"Connection: close\r\n")
    elif framing.old:
        lines.append(b"Connection: keep-alive\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _field_lines(fields: tuple[tuple[str, str], ...]) -> bytes:
    text = ""
    for name, value in fields:
        text += f"{name}: {value}\r\n"
    if text.count("\n") != len(fields) or text.count("\r") != len(fields) or "\0" in text:
        raise ValueError("a header field holds a line break or NUL")
    return text.encode("latin-1")


# A cached picture is answered with the same fields again and again.
_remembered_lines = lru_cache(1024)(_field_lines)


async def send(connection: Connection, head: bytes, answer: Answer, framing: Framing) -> int:
    """Send an answer and return the bytes of its body. Raises ConnectionError when the client goes, and StreamCut."""
    if answer.stream is not None:
        if framing.body:
            return await _send_stream(connection, head, answer.stream, length=answer.length, chunked=framing.chunked)
        await answer.stream.aclose()
    body = answer.body if framing.body else b""
    connection.write((head, body) if body else (head,))
    await connection.drained()
    return len(body)


async def _send_stream(
    connection: Connection, head: bytes, stream: AsyncGenerator[bytes, None], *, length: int | None, chunked: bool
) -> int:
    """Send a stream with back-pressure, close it, and return the bytes of its body.

    ConnectionError when the client goes. StreamCut, with the stream's own error as its cause, when the stream fails or
    does not keep to `length`: the connection is reset then, because a clean end would make a part look like the whole.
    """
    sent = 0
    async with aclosing(stream):
        try:
            async for chunk in stream:
                if not chunk:
                    continue
                if length is not None and sent + len(chunk) > length:
                    raise ValueError("the stream is longer than its announced length")
                parts = (b"%x\r\n" % len(chunk), chunk, b"\r\n") if chunked else (chunk,)
                connection.write((head, *parts) if head else parts)
                head = b""
                sent += len(chunk)
                await connection.drained()
            if length is not None and sent != length:
                raise ValueError("the stream is shorter than its announced length")
            connection.write((head, _LAST_CHUNK if chunked else b""))
            await connection.drained()
        except ConnectionError:
            raise
        except Exception as error:
            connection.cut()
            raise StreamCut(sent) from error
    return sent
