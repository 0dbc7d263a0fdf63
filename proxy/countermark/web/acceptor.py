"""The accept loop. The event loop's own takes whatever the kernel has queued in one go, and may so use up the descriptors
before the guard could cut anybody; then it throws away good and bad connections alike."""

from __future__ import annotations

import asyncio
import errno
import socket

import structlog

from countermark.web.connection import Announces, Connection, Service
from countermark.web.guard import Guard

# Connections taken in one turn of the event loop; between two turns the cut ones give their descriptors back.
BATCH = 16
PAUSE = 0.005

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = structlog.get_logger("countermark.web")


class Acceptor:
    """Takes connections from a listening socket that sibling processes share, until `stop`.

    `announces` tells whose connections begin with a PROXY header; None: nobody's.
    """

    def __init__(
        self, listener: socket.socket, guard: Guard, service: Service, announces: Announces | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._guard = guard
        self._service = service
        self._announces = announces
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._stopped = False
        self._complained = float("-inf")
        listener.setblocking(False)

    def start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    async def stop(self) -> None:
        """Take what already waits, then accept no more. When it returns, all that was taken is known to the guard."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._accept()
        self._listener.close()
        await asyncio.gather(*self._tasks)

    def _accept(self) -> None:
        for _ in range(BATCH):
            # A newcomer whom we have no room for waits in the kernel's queue for a moment: better than a reset.
            if not self._stopped and not self._guard.has_room(len(self._tasks)):
                self._rest()
                return
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._complain(error)
                self._guard.make_room()
                self._rest()
                return
            sock.setblocking(False)
            task = self._loop.create_task(self._connect(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, sock)
        except OSError:
            sock.close()

    def _protocol(self) -> Connection:
        return Connection(self._guard, self._service, self._loop, self._announces)

    def _complain(self, error: OSError) -> None:
        """Once a second at most: an attack must not fill the log as well."""
        now = self._loop.time()
        if now - self._complained >= 1.0:
            self._complained = now
            log.warning("out of descriptors", error=error.strerror, connections=len(self._guard))

    def _rest(self) -> None:
        """The listening socket stays readable while there are no descriptors: without a pause this would spin."""
        self._loop.remove_reader(self._listener.fileno())
        if not self._stopped:
            self._pause = self._loop.call_later(PAUSE, self.start)
