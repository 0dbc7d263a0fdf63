"""The connection guard: who may hold a connection open, and for how long.

aiohttp has no header deadline, no connection cap and no write deadline: with 512 descriptors, 900 slow connections
leave nothing for anybody else. The guard keeps every connection in at most one of three registers. Each register has
one fixed time-out, so insertion order is deadline order, the oldest stands first and a sweep looks only at what is due.

    reading    no whole request yet (new, or in the middle of a header): cut at the header deadline
    idle       kept alive between two requests: closed at the keep-alive time-out
    stalled    the client takes nothing of its answer: cut at the write deadline
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from msgspec import Struct

from countermark.settings.model import ServerSettings

# Descriptors that belong to no connection: idle origin connections, render children, cache files, the log, the loop.
RESERVED_DESCRIPTORS = 64

# Seconds within which a good client's request is whole, also over a slow line: whoever is younger is cut last.
PATIENCE = 1.0

Cause = Literal["header_timeout", "keepalive_timeout", "write_timeout", "full", "peer_full", "proxy_header"]


class Limits(Struct, frozen=True, kw_only=True):
    """Time-outs in seconds, and how many connections a worker bears in all and unfinished from one peer."""

    header_timeout: float
    keepalive_timeout: float
    write_timeout: float
    connections: int
    connections_per_peer: int


def limits(server: ServerSettings) -> Limits:
    """The limits of one worker. `auto` counts three descriptors a connection: its own, that of the origin behind it, and
    one for those that were cut and are not closed yet."""
    return Limits(
        header_timeout=server.header_timeout,
        keepalive_timeout=server.keepalive_timeout,
        write_timeout=server.write_timeout,
        connections=_affordable() if server.max_connections == "auto" else server.max_connections,
        connections_per_peer=server.max_connections_per_peer,
    )


def _affordable() -> int:
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(16, (descriptors - RESERVED_DESCRIPTORS) // 3)


class Guarded(Protocol):
    """What the guard needs of a connection. `peer` is whom it counts for."""

    peer: str

    def unsent(self) -> int:
        """Bytes that wait for the client."""
        ...

    def close(self) -> None:
        """End the connection in good order."""
        ...

    def cut(self) -> None:
        """End the connection at once, dropping what is unsent, in the kernel too."""
        ...


class Guard:
    """All connections of one worker. Not thread-safe: it lives in the event loop.

    `tell` hears how many are open whenever that changes.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float], tell: Callable[[int], None] = lambda count: None
    ) -> None:
        self.draining = False
        self.accepted = 0
        self.ended: Counter[Cause] = Counter()
        self._limits = limits
        self._clock = clock
        self._tell = tell
        self._open: set[Guarded] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._reading: dict[Guarded, float] = {}
        self._idle: dict[Guarded, float] = {}
        self._stalled: dict[Guarded, tuple[float, int]] = {}
        self._unfinished: dict[str, dict[Guarded, None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def empty(self) -> None:
        """Wait until no connection is open."""
        await self._empty.wait()

    def counts(self) -> dict[str, int]:
        """Open connections by what they do."""
        waiting = len(self._reading) + len(self._idle)
        return {"reading": len(self._reading), "idle": len(self._idle), "busy": len(self._open) - waiting}

    def admit(self, connection: Guarded) -> bool:
        """Take in a new connection; False where it had to be cut because everybody else is being served."""
        self.accepted += 1
        if len(self._open) >= self._limits.connections and not self.make_room():
            self.ended["full"] += 1
            connection.cut()
            return False
        self._make_room_for(connection.peer)
        self._open.add(connection)
        self._tell(len(self._open))
        self._empty.clear()
        self.reading(connection)
        return True

    def named(self, connection: Guarded, peer: str) -> None:
        """A PROXY header told for whom a connection counts; the deadline of its first request stays."""
        self._leave_peer(connection)
        connection.peer = peer
        self._make_room_for(peer)
        self._unfinished.setdefault(peer, {})[connection] = None

    def unannounced(self, connection: Guarded) -> None:
        """The PROXY header that it must begin with is missing or wrong."""
        self._end(connection, "proxy_header")

    def has_room(self, coming: int) -> bool:
        """Whether there is or could be made room for one more beside those that are `coming`."""
        return len(self._open) + coming < self._limits.connections or self.make_room()

    def make_room(self) -> bool:
        """End a connection that keeps us waiting. A good client's request is whole at once, and it takes its answer, so
        it stays; an idle one is closed in order, because its last answer may still be on its way."""
        stalled = next(iter(self._stalled), None)
        unfinished = next(iter(self._reading), None)
        if unfinished is not None and not self._fresh(self._reading[unfinished], self._limits.header_timeout):
            self._end(unfinished, "full")
        elif stalled is not None and not self._fresh(self._stalled[stalled][0], self._limits.write_timeout):
            self._end(stalled, "full")
        elif self._idle:
            self.ended["full"] += 1
            self.close_idle(next(iter(self._idle)))
        elif victim := stalled or unfinished:
            self._end(victim, "full")
        else:
            return False
        return True

    def _fresh(self, deadline: float, timeout: float) -> bool:
        """Whether it has been waited for less than PATIENCE."""
        return self._clock() - (deadline - timeout) < PATIENCE

    def reading(self, connection: Guarded) -> None:
        """The first byte of a header came, or the connection is new."""
        self._idle.pop(connection, None)
        if connection in self._reading:
            return
        self._reading[connection] = self._clock() + self._limits.header_timeout
        self._unfinished.setdefault(connection.peer, {})[connection] = None

    def busy(self, connection: Guarded) -> None:
        """A whole request came."""
        if self._idle.pop(connection, None) is None:
            self._finish_reading(connection)

    def idle(self, connection: Guarded) -> None:
        """All requests are answered."""
        self._idle[connection] = self._clock() + self._limits.keepalive_timeout

    def stalled(self, connection: Guarded) -> None:
        """The kernel takes no more bytes for this client."""
        self._stalled[connection] = (self._clock() + self._limits.write_timeout, connection.unsent())

    def flowing(self, connection: Guarded) -> None:
        """The client took everything."""
        self._stalled.pop(connection, None)

    def gone(self, connection: Guarded) -> None:
        """The connection ended."""
        self._open.discard(connection)
        self._tell(len(self._open))
        if not self._open:
            self._empty.set()
        self._idle.pop(connection, None)
        self._stalled.pop(connection, None)
        self._finish_reading(connection)

    def sweep(self) -> None:
        """End what is past its deadline. To be called a few times a second."""
        now = self._clock()
        for connection in _due(self._reading.items(), now):
            self._end(connection, "header_timeout")
        for connection in _due(self._idle.items(), now):
            self.ended["keepalive_timeout"] += 1
            self.close_idle(connection)
        for connection in _due(((held, deadline) for held, (deadline, _) in self._stalled.items()), now):
            self._judge_stalled(connection)

    def close_all_idle(self) -> None:
        """Close every connection that has no request, in flight or half read."""
        for connection in tuple(self._idle):
            self.close_idle(connection)
        for connection in tuple(self._reading):
            self._end(connection, "keepalive_timeout")

    def cut_all(self) -> None:
        """Cut every connection."""
        for connection in tuple(self._open):
            connection.cut()

    def close_idle(self, connection: Guarded) -> None:
        self._idle.pop(connection, None)
        connection.close()

    def _judge_stalled(self, connection: Guarded) -> None:
        _, before = self._stalled.pop(connection)
        if connection.unsent() < before:
            self.stalled(connection)
            return
        self.ended["write_timeout"] += 1
        connection.cut()

    def _end(self, connection: Guarded, cause: Cause) -> None:
        self.ended[cause] += 1
        self.gone(connection)
        connection.cut()

    def _finish_reading(self, connection: Guarded) -> None:
        if self._reading.pop(connection, None) is not None:
            self._leave_peer(connection)

    def _make_room_for(self, peer: str) -> None:
        siblings = self._unfinished.get(peer)
        if siblings is not None and len(siblings) >= self._limits.connections_per_peer:
            self._end(next(iter(siblings)), "peer_full")

    def _leave_peer(self, connection: Guarded) -> None:
        siblings = self._unfinished[connection.peer]
        del siblings[connection]
        if not siblings:
            del self._unfinished[connection.peer]


def _due(register: Iterable[tuple[Guarded, float]], now: float) -> list[Guarded]:
    due = []
    for connection, deadline in register:
        if deadline > now:
            break
        due.append(connection)
    return due
