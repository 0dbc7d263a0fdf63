"""The load generator: raw HTTP/1.1 over asyncio, closed loop (each client waits) and open loop (arrivals do not wait).

It parses no more of an answer than its end, about 40 µs of processor time each, and reports what it used itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import uvloop

from benchmarks.figures import percentile

Address = tuple[str, int]
T = TypeVar("T")


class Sample(NamedTuple):
    """One request. `at` is when it was due and `seconds` how long its answer took, both by the monotonic clock.

    Status 0 is a connection that was refused, cut or too slow. `first` is the time to the first byte.
    """

    at: float
    seconds: float
    status: int
    length: int
    head: bytes
    first: float


def header(sample: Sample, name: str) -> str:
    """A response header, "" where it is missing."""
    prefix = name.lower().encode() + b":"
    for line in sample.head.split(b"\r\n"):
        if line.lower().startswith(prefix):
            return line[len(prefix) :].strip().decode("latin-1")
    return ""


@dataclass(slots=True)
class Load:
    """All samples of a run, its wall time and the client's own processor time in seconds."""

    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    client_cpu: float = 0.0

    @property
    def good(self) -> list[Sample]:
        """The samples with status 200."""
        return [sample for sample in self.samples if sample.status == 200]

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.good) / self.seconds if self.seconds else 0.0

    @property
    def statuses(self) -> dict[int, int]:
        """How often each status was met."""
        return dict(sorted(Counter(sample.status for sample in self.samples).items()))

    def latency(self, share: float) -> float:
        """Percentile of the good answers' seconds, nan without any."""
        return percentile([sample.seconds for sample in self.good], share) if self.good else float("nan")


class Conversation(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Sample] | None = None
        self._reset(0.0)

    def _reset(self, at: float) -> None:
        self._at = at
        self._first = 0.0
        self._head = bytearray()
        self._status = 0
        self._length: int | None = None
        self._received = 0
        self._tail = b""
        self._bodiless = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport  # type: ignore[assignment]
        self.open = True

    @property
    def port(self) -> int:
        """Its own end's."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def ask(self, target: str, at: float, method: str = "GET", extra: str = "") -> asyncio.Future[Sample]:
        """Send a request; the future never raises."""
        assert self._transport is not None
        self._reset(at)
        self._bodiless = method == "HEAD"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"{method} {target} HTTP/1.1\r\nHost: {self.host}\r\n{extra}\r\n".encode())
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Called by the loop with whatever came."""
        if self._answer is None:
            self.close()
            return
        if not self._first:
            self._first = time.perf_counter() - self._at
        if not self._status:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = bytes(self._head[end + 4 :])
            del self._head[end:]
            self._read_head()
        self._received += len(data)
        if self._length is None:
            self._tail = (self._tail + data[-7:])[-7:]
        if self._is_whole():
            self._finish()

    def _read_head(self) -> None:
        self._status = int(self._head[9:12])
        lowered = bytes(self._head).lower()
        place = lowered.find(b"\r\ncontent-length:")
        if self._bodiless or self._status in (204, 304):
            self._length = 0
        elif place >= 0:
            self._length = int(lowered[place + 17 :].split(b"\r\n", 1)[0])

    def _is_whole(self) -> bool:
        if self._length is None:
            return self._tail.endswith(b"\r\n0\r\n\r\n") or self._tail == b"0\r\n\r\n"
        return self._received >= self._length

    def _finish(self, *, cut: bool = False) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        seconds = time.perf_counter() - self._at
        status = 0 if cut else self._status
        answer.set_result(Sample(self._at, seconds, status, self._received, bytes(self._head), self._first))
        if b"\r\nconnection: close" in self._head.lower():
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # asyncio's signature
        """Called by the loop; a request under way is lost, whatever the reason."""
        self.open = False
        self._finish(cut=True)

    def close(self) -> None:
        """Close for good; a request under way is lost."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def hold(self) -> None:
        """Take nothing more from the socket for now, as a slow reader does."""
        assert self._transport is not None
        self._transport.pause_reading()

    def release(self) -> None:
        """Read on."""
        assert self._transport is not None
        self._transport.resume_reading()


async def connect(address: Address, host: str = "bench.local", source: str = "") -> Conversation:
    """Open a connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    local = (source, 0) if source else None
    _, conversation = await loop.create_connection(lambda: Conversation(host), *address, local_addr=local)
    return conversation


async def ask_once(
    address: Address, target: str, *, patience: float = 60.0, method: str = "GET", extra: str = ""
) -> Sample:
    """One request on a connection of its own."""
    at = time.perf_counter()
    try:
        async with asyncio.timeout(patience):
            conversation = await connect(address)
            try:
                return await conversation.ask(target, at, method, extra)
            finally:
                conversation.close()
    except (OSError, TimeoutError):
        return Sample(at, time.perf_counter() - at, 0, 0, b"", 0.0)


async def closed_loop(
    address: Address,
    targets: Iterable[str],
    clients: int,
    *,
    until: Callable[[], bool] = lambda: False,
    patience: float = 60.0,
    fresh: bool = False,
    extra: str = "",
) -> Load:
    """`clients` clients, each asking for the next target as soon as it has its answer, until there are no more.

    `fresh` opens a connection for each request. `extra` are further header lines.
    """
    queue = iter(targets)
    load = Load()
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_client(address, queue, load, until, patience, fresh, extra) for _ in range(clients)))
    load.seconds = time.perf_counter() - start
    load.client_cpu = time.process_time() - cpu
    return load


async def _client(
    address: Address,
    queue: Iterator[str],
    load: Load,
    until: Callable[[], bool],
    patience: float,
    fresh: bool,
    extra: str,
) -> None:
    conversation: Conversation | None = None
    for target in queue:
        at = time.perf_counter()
        try:
            async with asyncio.timeout(patience):
                if conversation is None or not conversation.open:
                    conversation = await connect(address)
                load.samples.append(await conversation.ask(target, at, extra=extra))
        except (OSError, TimeoutError):
            load.samples.append(Sample(at, time.perf_counter() - at, 0, 0, b"", 0.0))
            await asyncio.sleep(0.005)
        if conversation is not None and (fresh or load.samples[-1].status == 0):
            conversation.close()
            conversation = None
        if until():
            break
    if conversation is not None:
        conversation.close()


def deadline(seconds: float) -> Callable[[], bool]:
    """True once so much time has passed, counted from the first question."""
    end: list[float] = []

    def passed() -> bool:
        if not end:
            end.append(time.perf_counter() + seconds)
        return time.perf_counter() >= end[0]

    return passed


async def open_loop(
    address: Address,
    targets: Iterable[str],
    rate: float,
    seconds: float,
    *,
    until: Callable[[], bool] = lambda: False,
    patience: float = 10.0,
    fresh: bool = False,
) -> Load:
    """Requests at a fixed rate whatever becomes of them; each is timed from the moment at which it was due.

    Connections are kept and used again; `fresh` opens one for each request.
    """
    load = Load()
    idle: list[Conversation] = []
    queue = iter(targets)
    start, cpu = time.perf_counter(), time.process_time()
    running: set[asyncio.Task[None]] = set()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        target = next(queue, None)
        if target is None or until():
            break
        task = asyncio.create_task(_arrival(address, target, due, load, None if fresh else idle, patience))
        running.add(task)
        task.add_done_callback(running.discard)
    load.seconds = time.perf_counter() - start
    await asyncio.gather(*running)
    load.client_cpu = time.process_time() - cpu
    for conversation in idle:
        conversation.close()
    return load


async def _arrival(
    address: Address, target: str, due: float, load: Load, idle: list[Conversation] | None, patience: float
) -> None:
    conversation: Conversation | None = None
    try:
        async with asyncio.timeout(patience):
            while idle and conversation is None:
                candidate = idle.pop()
                conversation = candidate if candidate.open else None
            if conversation is None:
                conversation = await connect(address)
            load.samples.append(await conversation.ask(target, due))
    except (OSError, TimeoutError):
        load.samples.append(Sample(due, time.perf_counter() - due, 0, 0, b"", 0.0))
        if conversation is not None:
            conversation.close()
        return
    if idle is None:
        conversation.close()
    elif conversation.open:
        idle.append(conversation)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run one piece of asynchronous work on a loop of its own."""

    async def main() -> T:
        return await work()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
