"""One computation for all who want the same, in this process and in its siblings.

Who binds the abstract unix socket named after a key is the leader: the kernel elects, nothing lies on disk, and a
leader that dies loses the name at that moment. Siblings connect to it and get the result over the connection; where it
ends without one, the leader died or gave up, and they join again.

The rules for callers:
- Keep the result in your caches *before* landing it, and as a new leader look into them first: a leader may have landed
  between your look into the caches and your join.
- For a moment after landing (LINGER) the leader still serves siblings that come late, because its memory cache is not
  theirs. In its own process a join leads anew, and finds the caches filled.
- Whatever fails here (descriptors used up, a name taken by a stranger) makes a leader that nobody can follow:
  coalescing saves work, it is never a condition for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import struct
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b

from countermark.backends.landing import Landing, Outcome, copied, receive
from countermark.core.picture import Rendition
from countermark.ports import Flight

LINGER = 0.5
LINGERING = 64
LINGERING_BODY = 2**20
BACKLOG = 1024

# Between a sibling's bind and its listen, microseconds later, a connection is refused though the name is taken.
_UNREADY_TRIES = 1000
_UNREADY_PAUSE = 0.001

_PEER_CREDENTIALS = struct.Struct("3i")


class SocketFlights:
    """Flights of one gateway. `instance` is a secret of its worker processes: who lacks it cannot guess a name.

    Make one in each worker, after the fork, and use it in one event loop.
    """

    def __init__(self, instance: str) -> None:
        self._secret = blake2b(instance.encode()).digest()
        self._shared: dict[bytes, _Shared] = {}
        self._lingering: OrderedDict[bytes, _Station] = OrderedDict()
        self._late = _Late()
        self._sweeping: asyncio.TimerHandle | None = None

    def aboard(self, key: bytes) -> bool:
        return key in self._shared

    @asynccontextmanager
    async def join(self, key: bytes) -> AsyncGenerator[Flight]:
        shared = self._shared.get(key)
        first = shared is None
        if shared is None:
            shared = self._shared[key] = _Shared()
        shared.aboard += 1
        try:
            leader = first and await self._elect(key, shared)
            yield _Seat(self, key, shared, leader)
        finally:
            shared.aboard -= 1
            outcome_can_come = shared.line is not None or not first
            if not outcome_can_come or not shared.aboard:
                self.settle(key, shared, None)

    def settle(self, key: bytes, shared: _Shared, outcome: Outcome) -> None:
        """End a flight: the first outcome counts. None frees those who wait, to join again."""
        if shared.outcome.done():
            return
        shared.outcome.set_result(outcome)
        if self._shared.get(key) is shared:
            del self._shared[key]
        if shared.line:
            shared.line.close()
        if shared.station:
            self._serve(key, shared.station, outcome)

    def close(self) -> None:
        for key, shared in list(self._shared.items()):
            self.settle(key, shared, None)
        for key in list(self._lingering):
            self._stop_lingering(key)
        if self._sweeping:
            self._sweeping.cancel()
        self._late.close()

    async def _elect(self, key: bytes, shared: _Shared) -> bool:
        """Whether this process leads; if not, the shared outcome will come over a line to the one that does."""
        self._stop_lingering(key)
        name = self._name(key)
        try:
            for _ in range(_UNREADY_TRIES):
                if listener := _bound(name):
                    shared.station = _Station(listener)
                    return True
                if peer := _connected(name):
                    shared.line = _Line(peer, lambda outcome: self.settle(key, shared, outcome))
                    return False
                await asyncio.sleep(_UNREADY_PAUSE)
        except OSError:
            return True
        return True

    def _serve(self, key: bytes, station: _Station, outcome: Outcome) -> None:
        if outcome is not None:
            station.land(Landing(outcome))
        if not isinstance(outcome, Rendition) or len(outcome.body) > LINGERING_BODY:
            station.close()
            return
        loop = asyncio.get_running_loop()
        station.linger(self._late, until=loop.time() + LINGER)
        self._lingering[key] = station
        if len(self._lingering) > LINGERING:
            self._stop_lingering(next(iter(self._lingering)))
        if self._sweeping is None:
            self._sweeping = loop.call_at(station.until, self._sweep)

    def _sweep(self) -> None:
        """End those whose moment is over; they linger in the order in which they landed."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        for key, station in list(self._lingering.items()):
            if station.until > loop.time():
                self._sweeping = loop.call_at(station.until, self._sweep)
                return
            self._stop_lingering(key)

    def _stop_lingering(self, key: bytes) -> None:
        station = self._lingering.pop(key, None)
        if station:
            station.close()

    def _name(self, key: bytes) -> str:
        return f"\0countermark-{blake2b(key, key=self._secret, digest_size=24).hexdigest()}"


class _Shared:
    """What the tasks of this process share of one flight: the outcome, and either a station or a line."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.aboard = 0
        self.station: _Station | None = None
        self.line: _Line | None = None


class _Seat:
    """One task's part in a flight."""

    def __init__(self, flights: SocketFlights, key: bytes, shared: _Shared, leader: bool) -> None:
        self._flights = flights
        self._key = key
        self._shared = shared
        self._leader = leader

    @property
    def leader(self) -> bool:
        return self._leader

    def land(self, rendition: Rendition) -> None:
        self._settle(rendition)

    def fail(self, error: BaseException) -> None:
        # A leader that was cancelled says nothing about the picture: the others try again.
        self._settle(None if isinstance(error, asyncio.CancelledError) else error)

    async def wait(self) -> Rendition | None:
        if self._leader:
            raise RuntimeError("a leader would wait for itself")
        outcome = copied(await asyncio.shield(self._shared.outcome))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _settle(self, outcome: Outcome) -> None:
        if not self._leader:
            raise RuntimeError("only the leader ends a flight")
        self._flights.settle(self._key, self._shared, outcome)


class _Station:
    """The leader's end. Siblings connect, and wait in the listener's backlog; each is sent the landing.

    Nothing is asked of the event loop before there is one: most flights have no followers.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._landing: Landing | None = None
        self._late: _Late | None = None
        self.until = 0.0

    def land(self, landing: Landing) -> None:
        """Have it for all who wait, once the station lingers or closes."""
        self._landing = landing

    def linger(self, late: _Late, *, until: float) -> None:
        """Send it to those who wait and still come. `until`, by the event loop's clock, is for whoever ends it."""
        self._late, self.until = late, until
        late.expect(self._listener.fileno(), self._send)

    def close(self) -> None:
        """Who comes too late, or to a flight without a landing, sees the end of his connection and joins again."""
        if self._late:
            # One look at all of them takes 0.3 us, to accept where nobody waits 4.5.
            self._late.serve()
        elif self._landing:
            self._send()
        if self._landing:
            self._landing.close()
        self._ignore()
        self._listener.close()

    def _send(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptor left: stop asking; who waits in the backlog is freed when we close
                self._ignore()
                return
            with peer:
                peer.setblocking(False)
                # A follower that has gone gets nothing; one that cannot be sent to joins again when it sees the end.
                if self._landing and _is_ours(peer):
                    with suppress(OSError):
                        self._landing.send(peer)

    def _ignore(self) -> None:
        if self._late:
            self._late.forget(self._listener.fileno())
            self._late = None


class _Late:
    """Those who come to one of many listeners. The event loop watches a single descriptor for all: to add a reader to it,
    and to remove it, takes longer than all else of a landing."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def expect(self, listener: int, call: Callable[[], None]) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._epoll.fileno(), self.serve)
        self._epoll.register(listener, select.EPOLLIN)
        self._calls[listener] = call

    def forget(self, listener: int) -> None:
        del self._calls[listener]
        self._epoll.unregister(listener)

    def serve(self) -> None:
        """Call for each that somebody has come to."""
        for listener, _ in self._epoll.poll(0):
            if call := self._calls.get(listener):
                call()

    def close(self) -> None:
        if self._loop:
            self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


class _Line:
    """A follower's end: one packet or the end of the connection, then `tell` is called once."""

    def __init__(self, peer: socket.socket, tell: Callable[[Outcome], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer = peer
        self._tell = tell
        self._loop.add_reader(peer.fileno(), self._receive)

    def close(self) -> None:
        if self._peer.fileno() >= 0:
            self._loop.remove_reader(self._peer.fileno())
            self._peer.close()

    def _receive(self) -> None:
        try:
            outcome = receive(self._peer)
        except BlockingIOError:
            return
        except OSError:
            outcome = None
        self._tell(outcome)


def _bound(name: str) -> socket.socket | None:
    """A listening socket of that name; None where another has it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        listener.bind(name)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return listener


def _connected(name: str) -> socket.socket | None:
    """A connection to the leader of that name; None where nobody listens there (any more, or yet)."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        peer.connect(name)
        if not _is_ours(peer):
            raise PermissionError("another user's process has taken the name")
    except ConnectionRefusedError:
        peer.close()
        return None
    except OSError:
        peer.close()
        raise
    return peer


def _is_ours(peer: socket.socket) -> bool:
    """Whether the other end runs as our user: nobody else may be told, or tell us, what a picture is."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    _, user, _ = _PEER_CREDENTIALS.unpack(credentials)
    return bool(user == os.geteuid())
