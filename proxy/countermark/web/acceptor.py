"""The accept loop. The event loop's own takes whatever the kernel has queued in one go, and may so use up the descriptors
before the guard could cut anybody; then it throws away good and bad connections alike."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Callable

import structlog

from countermark.web.connection import Announces, Connection, Service
from countermark.web.guard import Guard
from countermark.web.roster import Berth

# Connections taken in one turn of the event loop; between two turns the cut ones give their descriptors back.
BATCH = 16
PAUSE = 0.005
# So long is left to a sibling that has fewer connections, and then one is taken nevertheless: it may be at work.
COURTESY = 0.001

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = structlog.get_logger("countermark.web")


class Acceptor:
    """Takes connections from a listening socket that sibling processes share, until `stop`.

    `announces` tells whose connections begin with a PROXY header; None: nobody's. `berth` knows how many the siblings
    have; None: there are none.
    """

    def __init__(
        self,
        listener: socket.socket,
        guard: Guard,
        service: Service,
        announces: Announces | None = None,
        berth: Berth | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._guard = guard
        self._service = service
        self._announces = announces
        self._berth = berth
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._stopped = False
        self._complained = float("-inf")
        listener.setblocking(False)
        # The event loop watches this one descriptor; to look away from the listener for a moment is one system call.
        self._watch = select.epoll()
        self._watch.register(listener, 0)

    def start(self) -> None:
        self._loop.add_reader(self._watch.fileno(), self._accept)
        self._look()

    async def stop(self) -> None:
        """Take what already waits, then accept no more. When it returns, all that was taken is known to the guard."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._watch.fileno())
        self._watch.close()
        for _ in range(BATCH):
            if not self._take():
                break
        self._listener.close()
        await asyncio.gather(*self._tasks)

    def _accept(self) -> None:
        """Take those who wait, as long as no sibling has fewer."""
        for _ in range(BATCH):
            if self._berth is not None and self._berth.ahead(len(self._guard) + len(self._tasks)):
                self._look_away(COURTESY, self._insist)
                return
            if not self._take():
                return

    def _insist(self) -> None:
        """Take one, whom no sibling wanted, and go on."""
        self._look()
        if self._take():
            self._accept()

    def _take(self) -> bool:
        """Take one connection; False where nobody waits, or he must."""
        # A newcomer whom we have no room for waits in the kernel's queue for a moment: better than a reset.
        if not self._stopped and not self._guard.has_room(len(self._tasks)):
            self._rest()
            return False
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._complain(error)
            self._guard.make_room()
            self._rest()
            return False
        sock.setblocking(False)
        task = self._loop.create_task(self._connect(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

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
        if not self._stopped:
            self._look_away(PAUSE, self._look)

    def _look(self) -> None:
        self._pause = None
        self._watch.modify(self._listener, select.EPOLLIN)

    def _look_away(self, seconds: float, then: Callable[[], None]) -> None:
        self._watch.modify(self._listener, 0)
        self._pause = self._loop.call_later(seconds, then)
