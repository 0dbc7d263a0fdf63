"""One client connection: aiohttp's C parser, the guard around it, and nothing between the parser and the socket.

It stands on `aiohttp.base_protocol.BaseProtocol` and `aiohttp.http_parser.HttpRequestParser` instead of on
`web.RequestHandler`, whose request object, writer and task for each request cost more than the whole of our own work on
a cached picture, and which has a dozen private timers to take over. `tests/web/test_connection.py` fails when a release
of aiohttp changes what is used here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol, cast

import structlog
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from countermark.core.errors import Malformed
from countermark.web.guard import Guard
from countermark.web.proxy_protocol import read_header

# Bytes. A field's name and its value are bounded each by MAX_FIELD, all fields together by MAX_HEADER.
MAX_LINE = 8190
MAX_FIELD = 4096
MAX_FIELDS = 64
MAX_HEADER = 32 * 1024

# Parsed requests that one client may pipeline; then we stop reading from it.
PIPELINE = 8

_READ_LIMIT = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
_END_OF_HEADER = b"\r\n\r\n"

log = structlog.get_logger("countermark.web")


class HeaderTooLarge(Exception):
    """The header fields together are larger than MAX_HEADER bytes."""


class BodyPresent(Exception):
    """The request has a body or a Transfer-Encoding."""


Announces = Callable[[str], bool]
"""Whether connections from this socket address begin with a PROXY header."""

Incoming = RawRequestMessage | HttpProcessingError | HeaderTooLarge | BodyPresent


class Service(Protocol):
    """Who answers the messages of a connection."""

    def serve_at_once(self, connection: Connection, incoming: Incoming) -> bool:
        """Answer without waiting, or say False and have done nothing."""
        ...

    async def serve(self, connection: Connection, incoming: Incoming) -> None:
        """Answer."""
        ...


class Connection(BaseProtocol):
    """Reads requests, hands them to the service one after another, writes what it answers.

    After a fault or an upgrade nothing more is read: what follows could be understood differently by the proxy in front
    of us (request smuggling).
    """

    __slots__ = (
        "_announces",
        "_deaf",
        "_ended",
        "_guard",
        "_head",
        "_last",
        "_queue",
        "_service",
        "_task",
        "_unread",
        "announcer",
        "peer",
    )

    def __init__(
        self, guard: Guard, service: Service, loop: asyncio.AbstractEventLoop, announces: Announces | None = None
    ) -> None:
        parser = HttpRequestParser(
            self,
            loop,
            _READ_LIMIT,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            auto_decompress=False,
            max_msg_queue_size=PIPELINE,
        )
        super().__init__(loop, parser)
        self.peer = ""
        self.announcer = ""
        self._announces = announces
        self._head: bytes | None = None
        self._guard = guard
        self._service = service
        self._queue: deque[Incoming] = deque()
        self._task: asyncio.Task[None] | None = None
        self._unread = 0
        self._last = _END_OF_HEADER
        self._deaf = False
        self._ended = False

    @property
    def keeps(self) -> bool:
        """Whether another request can follow the present one on this connection."""
        return not self._deaf and (not self._guard.draining or bool(self._queue))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        stream = cast(asyncio.Transport, transport)
        # Pause as soon as the kernel is full: then "not paused" means that the whole answer has left.
        stream.set_write_buffer_limits(high=0)
        name = stream.get_extra_info("peername")
        if name is None:  # the client went before we looked
            self.cut()
            return
        self.peer = name[0]
        if self._announces is not None and self._announces(self.peer):
            self.announcer, self._head = self.peer, b""
            # Until it says for whom it is, it counts for itself: the sender has one address for all of his clients.
            self.peer = f"{name[0]} port {name[1]}"
        self._guard.admit(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._guard.gone(self)
        self._deaf = self._ended = True
        self._queue.clear()
        # Nobody reads the answer any more: let go of its origin, its slot and its memory.
        if self._task is not None:
            self._task.cancel()
        super().connection_lost(exc)
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._deaf or self._parser is None:
            return
        if self._head is not None:
            data = self._behind_header(self._head + data)
            if not data:
                return
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._refuse(error)
            return
        self._unread += len(data)
        self._last = data[-4:] if len(data) >= 4 else (self._last + data)[-4:]
        if not messages:
            self._wait_for_more()
            return
        for message, payload in messages:
            if payload is not EMPTY_PAYLOAD or "Transfer-Encoding" in message.headers:
                self._refuse(BodyPresent())
                return
            if self._unread > MAX_HEADER and _size(message.raw_headers) > MAX_HEADER:
                self._refuse(HeaderTooLarge())
                return
            self._queue.append(message)
            # An upgrade is never taken: the request is answered as plain HTTP/1.1, and the connection ends with it.
            if upgraded or message.upgrade:
                self._deaf = True
                break
        self._unread = 0
        if len(self._queue) >= PIPELINE and not self._buffer_paused:
            self._pause_reading_for_buffer()
        self._start()

    def eof_received(self) -> bool:
        """A client that closes its side has gone; half-closed HTTP clients are not served (as in nginx)."""
        return False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._guard.stalled(self)

    def resume_writing(self) -> None:
        self._guard.flowing(self)
        super().resume_writing()

    def write(self, chunks: Iterable[bytes]) -> None:
        """Hand bytes to the transport in one call. ConnectionResetError when the client has gone."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("The client has gone.")
        self.transport.writelines(chunks)

    async def drained(self) -> None:
        """Wait until the kernel has taken everything. ConnectionError when the client goes or is cut off meanwhile."""
        if self._paused:
            await self._drain_helper()
        if self.transport is None:
            raise ConnectionResetError("The client has gone.")

    def finish(self) -> None:
        """Close after the present answer."""
        self._deaf = self._ended = True

    def unsent(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def close(self) -> None:
        self.finish()
        if self.transport is not None and self._task is None:
            self.transport.close()

    def cut(self) -> None:
        self.finish()
        transport = self.transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            # Without this the kernel keeps megabytes for a reader that never reads.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def _behind_header(self, data: bytes) -> bytes:
        """What follows the PROXY header, nothing while that is not whole."""
        try:
            found = read_header(data)
        except Malformed:
            # Whoever must announce its clients and does not could pass for one of them. There is nobody to answer.
            self._guard.unannounced(self)
            return b""
        if found is None:
            self._head = data
            return b""
        self._head = None
        self._guard.named(self, found.client or self.announcer)
        return data[found.length :]

    def _refuse(self, fault: Incoming) -> None:
        self._deaf = True
        self._queue.append(fault)
        self._start()

    def _wait_for_more(self) -> None:
        if self._unread > MAX_HEADER:
            self._refuse(HeaderTooLarge())
        elif self._task is None and self._unread:
            self._guard.reading(self)

    def _start(self) -> None:
        if self._task is not None or not self._queue:
            return
        self._guard.busy(self)
        # Most requests find their answer in memory: these cost neither a task nor a turn of the loop.
        if len(self._queue) == 1 and not self._paused:
            incoming = self._queue.popleft()
            if self._service.serve_at_once(self, incoming):
                self._take_more()
                self._rest()
                return
            self._queue.append(incoming)
        self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        queue = self._queue
        try:
            while queue and not self._ended:
                incoming = queue.popleft()
                self._take_more()
                await self._service.serve(self, incoming)
        except ConnectionError:
            self.finish()
        except Exception:
            log.exception("connection failed")
            self.cut()
        finally:
            self._task = None
        self._rest()

    def _take_more(self) -> None:
        if self._parser is None:
            return
        self._parser.message_consumed()
        if not self._buffer_paused or len(self._queue) > PIPELINE // 2:
            return
        self.data_received(b"")
        if len(self._queue) < PIPELINE:
            self._resume_reading_for_buffer()

    def _rest(self) -> None:
        if self.transport is None:
            return
        if self._deaf or self._ended:
            self.transport.close()
        elif self._last == _END_OF_HEADER:
            self._guard.idle(self)
        else:
            self._guard.reading(self)


def _size(fields: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in fields)
