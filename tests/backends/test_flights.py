"""One computation for all who want the same, in one process and in several."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from countermark.backends import flights as module
from countermark.backends.flights import SocketFlights
from countermark.core.errors import (
    CountermarkError,
    OriginalMissing,
    OriginTimeout,
    Overloaded,
    PictureBroken,
    RangeNotSatisfiable,
)
from countermark.core.picture import Rendition
from tests.backends.waiting import descriptors, eventually

PICTURE = Rendition(body=b"body" * 50_000, content_type="image/avif", etag='"e"', validator="v", made=1.0, width=2)


@pytest.fixture
async def siblings() -> AsyncIterator[tuple[SocketFlights, SocketFlights]]:
    """Two processes' flights of one gateway, here in one process: they share nothing but the kernel's names."""
    instance = secrets.token_hex(16)
    pair = SocketFlights(instance), SocketFlights(instance)
    yield pair
    for flights in pair:
        flights.close()


async def follow(flights: SocketFlights, key: bytes, boarded: Callable[[], object]) -> Rendition | None:
    async with flights.join(key) as flight:
        assert not flight.leader
        boarded()
        return await flight.wait()


async def following(flights: SocketFlights, key: bytes, count: int = 1) -> list[asyncio.Task[Rendition | None]]:
    """Tasks that wait in a flight, all aboard."""
    aboard = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(follow(flights, key, aboard.release)) for _ in range(count)]
    for _ in tasks:
        await asyncio.wait_for(aboard.acquire(), 10)
    return tasks


async def test_the_first_leads_and_all_others_get_what_it_lands(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """In the leader's process and in a sibling, every field of the rendition arrives."""
    here, there = siblings
    async with here.join(b"k") as flight:
        assert flight.leader
        tasks = await following(here, b"k", 5) + await following(there, b"k", 5)
        flight.land(PICTURE)
        assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [PICTURE] * 10


@pytest.mark.parametrize("size", [0, 1, 20_000_000])
async def test_a_body_of_any_size_arrives(siblings: tuple[SocketFlights, SocketFlights], size: int) -> None:
    """No buffer of a socket bounds it."""
    here, there = siblings
    picture = Rendition(body=os.urandom(size), content_type="", etag="", validator="", made=0.0)
    async with here.join(b"k") as flight:
        tasks = await following(there, b"k")
        flight.land(picture)
        assert await asyncio.wait_for(tasks[0], 10) == picture


async def test_other_keys_and_other_gateways_fly_alone(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """A key is followed in the same instance only."""
    here, there = siblings
    stranger = SocketFlights(secrets.token_hex(16))
    async with here.join(b"a") as one, there.join(b"b") as two, stranger.join(b"a") as three:
        assert one.leader and two.leader and three.leader
    stranger.close()


@pytest.mark.parametrize(
    "error",
    [
        OriginalMissing("Not there.", private="key x"),
        OriginTimeout("Late."),
        Overloaded("Busy.", private="queue", retry_after=7),
        RangeNotSatisfiable("Outside.", size=12),
        PictureBroken("Broken.", private="x" * 100_000),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_the_same_error_for_all(
    siblings: tuple[SocketFlights, SocketFlights], error: CountermarkError
) -> None:
    """Class, detail and its further facts; a very long private text is shortened."""
    here, there = siblings
    async with here.join(b"k") as flight:
        tasks = await following(here, b"k", 2) + await following(there, b"k", 2)
        flight.fail(error)
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    for result in results:
        assert type(result) is type(error)
        assert str(result) == str(error)
        assert vars(result) == vars(error) | {"private": error.private[:4096]}
    assert len({id(result) for result in results}) == len(results)


async def test_a_fault_of_the_program_is_told_by_its_name_only(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """Nothing but the classes of the house is rebuilt from bytes."""
    here, there = siblings
    async with here.join(b"k") as flight:
        tasks = await following(there, b"k")
        flight.fail(KeyError("secret"))
        with pytest.raises(RuntimeError, match="KeyError") as raised:
            await asyncio.wait_for(tasks[0], 10)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("how", ["leaves", "cancelled", "fails with cancellation"])
async def test_a_leader_that_gives_up_frees_the_others(siblings: tuple[SocketFlights, SocketFlights], how: str) -> None:
    """Those who wait get None, join again, and one of them leads."""
    here, there = siblings
    started = asyncio.Event()
    go = asyncio.Event()

    async def lead() -> None:
        async with here.join(b"k") as flight:
            started.set()
            await go.wait()
            if how == "fails with cancellation":
                flight.fail(asyncio.CancelledError())

    leader = asyncio.create_task(lead())
    await started.wait()
    tasks = await following(here, b"k", 2) + await following(there, b"k", 2)
    if how == "cancelled":
        leader.cancel()
    else:
        go.set()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [None] * 4
    async with there.join(b"k") as flight:
        assert flight.leader
    await asyncio.gather(leader, return_exceptions=True)


async def test_a_cancelled_follower_takes_nobody_along(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """Its neighbours still get the result, also where it was the one that connected first."""
    here, there = siblings
    async with here.join(b"k") as flight:
        tasks = await following(here, b"k", 3) + await following(there, b"k", 3)
        for task in (tasks[0], tasks[3]):
            task.cancel()
        await asyncio.wait(tasks[:1] + tasks[3:4], timeout=10)
        flight.land(PICTURE)
        rest = [task for task in tasks if not task.cancelled()]
        assert await asyncio.wait_for(asyncio.gather(*rest), 10) == [PICTURE] * 4


async def test_followers_that_come_and_go_cost_no_descriptors(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """A client that aborts again and again does not use up the leader's descriptors."""
    here, there = siblings
    async with here.join(b"k"):
        before = descriptors()
        for _ in range(50):
            (task,) = await following(there, b"k")
            task.cancel()
            await asyncio.wait([task], timeout=10)
        await eventually(lambda: descriptors() <= before + 3)


async def test_a_late_sibling_still_gets_the_landing(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """Its memory has no copy, so the leader serves it for a moment; in its own process a join leads anew."""
    here, there = siblings
    async with here.join(b"k") as flight:
        flight.land(PICTURE)
    async with there.join(b"k") as late:
        assert not late.leader
        assert await asyncio.wait_for(late.wait(), 10) == PICTURE
    async with here.join(b"k") as again:
        assert again.leader


async def test_nothing_is_left_after_the_moment(
    siblings: tuple[SocketFlights, SocketFlights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets, memory files and bookkeeping all go; an error is not kept at all."""
    monkeypatch.setattr(module, "LINGER", 0.0)
    here, there = siblings
    before = descriptors()
    for number in range(20):
        async with here.join(b"%d" % number) as flight:
            (task,) = await following(there, b"%d" % number)
            if number % 2:
                flight.land(PICTURE)
            else:
                flight.fail(OriginTimeout("Late."))
            await asyncio.wait([task], timeout=10)
            assert task.exception() is None or number % 2 == 0
    await eventually(lambda: descriptors() <= before)
    assert not here._shared and not here._lingering and not there._shared


async def test_only_so_many_landings_linger(siblings: tuple[SocketFlights, SocketFlights]) -> None:
    """A thousand renditions a second do not hold a thousand sockets."""
    here, _ = siblings
    before = descriptors()
    for number in range(module.LINGERING * 2):
        async with here.join(b"%d" % number) as flight:
            flight.land(PICTURE)
    assert descriptors() <= before + module.LINGERING


async def test_without_sockets_everybody_works_alone(
    siblings: tuple[SocketFlights, SocketFlights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Used-up descriptors cost the saving between processes, not the request; within the process it stays."""

    def exhausted(*arguments: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "_bound", exhausted)
    here, there = siblings
    async with here.join(b"k") as one, there.join(b"k") as other:
        assert one.leader and other.leader
        tasks = await following(here, b"k")
        one.land(PICTURE)
        assert await asyncio.wait_for(tasks[0], 10) == PICTURE


async def test_a_name_that_is_bound_and_not_yet_listening_is_waited_for(
    siblings: tuple[SocketFlights, SocketFlights],
) -> None:
    """Between the two steps of a sibling's election nobody else is elected."""
    here, there = siblings
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as unready:
        unready.bind(here._name(b"k"))
        joining = asyncio.create_task(following(there, b"k"))
        await asyncio.wait([joining], timeout=0.05)
        assert not joining.done()
        unready.listen()
        (task,) = await asyncio.wait_for(joining, 10)
    assert await asyncio.wait_for(task, 10) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_stranger_gets_nothing_and_is_believed_nothing(
    siblings: tuple[SocketFlights, SocketFlights],
) -> None:
    """Another user who learns a name can neither read a private picture from it nor plant one under it."""
    here, _ = siblings
    code = """
import os, socket, sys
os.setuid(65534)
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
name = bytes.fromhex(sys.argv[2])
if sys.argv[1] == "read":
    peer.connect(name)
    try:
        print(len(peer.recv(10)))
    except ConnectionError:
        print(0)
else:
    peer.bind(name)
    peer.listen()
    print("bound", flush=True)
    sys.stdin.read()
"""

    async def stranger(deed: str, key: bytes) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, deed, here._name(key).encode().hex(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    async with here.join(b"read") as flight:
        reader = await stranger("read", b"read")
        flight.land(PICTURE)
        output, _ = await asyncio.wait_for(reader.communicate(), 20)
        assert output.strip() == b"0"
    planter = await stranger("plant", b"plant")
    assert planter.stdout is not None
    await asyncio.wait_for(planter.stdout.readline(), 20)
    async with here.join(b"plant") as flight:
        assert flight.leader
    await asyncio.wait_for(planter.communicate(b""), 20)


WORKER = """
import asyncio, os, sys
import uvloop
from countermark.backends.flights import SocketFlights
from countermark.core.picture import Rendition

PICTURE = Rendition(body=b"p" * 200_000, content_type="", etag="", validator="", made=0.0)

async def lines():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader

async def main():
    flights = SocketFlights(sys.argv[1])
    land = asyncio.Event()
    leads = 0

    async def want(key):
        nonlocal leads
        while True:
            async with flights.join(key) as flight:
                if flight.leader:
                    leads += 1
                    print("leader", os.getpid(), flush=True)
                    await land.wait()
                    flight.land(PICTURE)
                    return PICTURE
                print("follower", os.getpid(), flush=True)
                if (rendition := await flight.wait()) is not None:
                    return rendition
                print("freed", os.getpid(), flush=True)

    commands = await lines()
    wanted = []
    while command := (await commands.readline()).split():
        match command:
            case [b"join", key, count]:
                wanted = [asyncio.create_task(want(key)) for _ in range(int(count))]
            case [b"land"]:
                land.set()
                got = await asyncio.gather(*wanted)
                held = len(os.listdir("/proc/self/fd"))
                print("done", sum(rendition == PICTURE for rendition in got), leads, held, flush=True)
    flights.close()

(asyncio if sys.argv[2] == "asyncio" else uvloop).run(main())
"""


class Worker:
    """A worker process that joins and lands as it is told, and says what becomes of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self._input = process.stdin
        self._output = process.stdout
        self._heard: list[list[str]] = []
        self._listening = asyncio.create_task(self._listen())

    def tell(self, command: str) -> None:
        self._input.write(command.encode() + b"\n")

    def count(self, word: str) -> int:
        return sum(line[0] == word for line in self._heard)

    def aboard(self) -> int:
        """How many of its tasks sit in a flight now."""
        return self.count("leader") + self.count("follower") - self.count("freed")

    async def done(self) -> list[int]:
        """Pictures got, flights led, descriptors held."""
        await eventually(lambda: self.count("done") == 1)
        return [int(number) for number in self._heard[-1][1:]]

    async def end(self) -> None:
        self._input.close()
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self._listening

    async def _listen(self) -> None:
        async for line in self._output:
            self._heard.append(line.decode().split())


@pytest.fixture(params=["asyncio", "uvloop"])
async def workers(request: pytest.FixtureRequest) -> AsyncIterator[list[Worker]]:
    instance = secrets.token_hex(16)
    started = [
        Worker(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", WORKER, instance, request.param,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "proxy"},
            )
        )
        for _ in range(4)
    ]  # fmt: skip
    yield started
    for worker in started:
        await worker.end()


@pytest.mark.asyncio(loop_factories=["asyncio"])
class TestProcesses:
    """Real processes; the test's own loop is the plain one."""

    async def test_of_a_hundred_joins_in_four_processes_one_leads(self, workers: list[Worker]) -> None:
        """All hundred get the picture, and no process holds more than a few descriptors for it."""
        for worker in workers:
            worker.tell("join k 25")
        await eventually(lambda: sum(worker.aboard() for worker in workers) == 100)
        assert sum(worker.count("leader") for worker in workers) == 1
        for worker in workers:
            worker.tell("land")
        for worker in workers:
            got, _, held = await worker.done()
            assert got == 25
            assert held < 30

    async def test_a_killed_leader_is_followed_by_exactly_one(self, workers: list[Worker]) -> None:
        """Nobody waits for the dead, and the rest do not all begin at once."""
        first, *rest = workers
        first.tell("join k 1")
        await eventually(lambda: first.count("leader") == 1)
        for worker in rest:
            worker.tell("join k 10")
        await eventually(lambda: sum(worker.aboard() for worker in rest) == 30)
        assert sum(worker.count("leader") for worker in rest) == 0
        first.process.send_signal(signal.SIGKILL)
        await eventually(lambda: any(worker.count("leader") for worker in rest))
        await eventually(lambda: sum(worker.aboard() for worker in rest) == 30)
        for worker in rest:
            worker.tell("land")
        results = [await worker.done() for worker in rest]
        assert [got for got, _, _ in results] == [10, 10, 10]
        assert sum(led for _, led, _ in results) == 1
