"""(r) From the acknowledged revocation to its refusal by every worker of several gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial

from redis.exceptions import RedisError

from benchmarks import gateway, load, processes
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.redis_server import RedisServer, installed
from benchmarks.result import Result
from benchmarks.setting import Setting
from countermark.backends.stores.table import open_store
from countermark.core.errors import StoreUnavailable
from countermark.identity.revocation import Revocation
from countermark.ports import Store

GATEWAYS, WORKERS = 3, 2
PACE = 0.002
PATIENCE = 10.0
REVOKED, OPEN, UNSURE = 410, 200, 503
# Refusals are what is measured: nobody is blocked for them.
UNWATCHED = {"refusals": 0, "failures": 0}

Trouble = Callable[[], Awaitable[None]]


class Crowd:
    """A kept connection to every worker, and URLs that all of them have opened."""

    def __init__(self, gates: Sequence[gateway.Gateway], connections: Sequence[load.Conversation]) -> None:
        self._gates = gates
        self._connections = connections
        self.jtis: list[str] = []

    def __len__(self) -> int:
        return len(self._connections)

    def target(self, jti: str) -> str:
        return self._gates[0].target("small.jpg", "w=200", expires=self._gates[0].expires, facts={"jti": jti})

    async def open(self) -> str:
        """The id of a new URL that every worker has opened and remembers. Raises RuntimeError where one has not."""
        jti = f"ticket-{len(self.jtis):06}"
        for _ in range(2):
            answers = await self.ask(jti)
            if set(answers) != {OPEN}:
                raise RuntimeError(f"an untouched URL was answered {answers}\n{self._gates[0].tail()}")
        self.jtis.append(jti)
        return jti

    async def ask(self, jti: str) -> list[int]:
        """The status that each worker answers."""
        target, at = self.target(jti), time.perf_counter()
        samples = await asyncio.gather(*(connection.ask(target, at) for connection in self._connections))
        return [sample.status for sample in samples]

    async def refused(self, jti: str) -> list[float]:
        """When each worker first refused it, inf where one does not."""
        return await asyncio.gather(*(_refused(connection, self.target(jti)) for connection in self._connections))


async def _refused(connection: load.Conversation, target: str) -> float:
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        sample = await connection.ask(target, time.perf_counter())
        if sample.status == REVOKED:
            return time.perf_counter()
        if sample.status not in (OPEN, UNSURE):
            raise RuntimeError(f"a worker answered {sample.status}")
        await asyncio.sleep(PACE)
    return float("inf")


def measure(setting: Setting) -> Result:
    """SQLite on one machine, then several gateways over one Redis, quiet and with its connections cut."""
    figures: list[Figure] = []
    notes = [
        f"one process appends to the store, and asks each worker every {PACE * 1000:.0f} ms over a kept connection for "
        "a URL that it had opened from memory before; seconds from the acknowledgement to the first refusal",
        "no address is blocked for its refusals; gateways, store and the one who asks share all cores",
    ]
    count = setting.rounds(200, 40)
    place = setting.place("sqlite")
    with _gateway(setting, f"sqlite:{place}/store.db") as gate:
        calm, _, workers = load.run(partial(_live, [gate], f"sqlite:{place}/store.db", count, 0, None))
    figures += _figures(f"SQLite, {workers} workers", calm, 0.3)
    if not installed():
        return _result(figures, notes, ["redis-server"])
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(setting.place("redis")))
        url = f"redis://127.0.0.1:{server.port}"
        gates = [stack.enter_context(_gateway(setting, url)) for _ in range(GATEWAYS)]
        cut = partial(_cut, server)
        calm, cuts, workers = load.run(partial(_live, gates, url, count, setting.rounds(100, 10), cut))
    name = f"Redis, {workers} workers of {GATEWAYS} gateways"
    figures += _figures(name, calm, 0.1)
    lost = sum(1 for taken in cuts if taken == float("inf"))
    figures += [
        Figure(
            label=f"{name}, {len(cuts) // workers} disconnects: lost",
            unit="",
            samples=(float(lost),),
            goal=Goal("exactly", 0),
            worst=True,
        ),
        Figure(label=f"{name}, cut off as it is revoked: p99", unit="s", samples=(percentile(cuts, 0.99),)),
    ]
    notes.append("a disconnect: CLIENT KILL of all connections to the Redis, and one URL revoked at the same moment")
    return _result(figures, notes, [])


def _result(figures: Sequence[Figure], notes: Sequence[str], absent: Sequence[str]) -> Result:
    title = "what is taken back is refused by every worker"
    return Result(name="revocation_live", title=title, figures=tuple(figures), notes=tuple(notes), absent=tuple(absent))


def _figures(name: str, taken: Sequence[float], goal: float) -> list[Figure]:
    shares = (("p50", 0.5, None), ("p99", 0.99, Goal("at most", goal)), ("slowest", 1.0, None))
    return [
        Figure(label=f"{name}: {label}", unit="s", samples=(percentile(taken, share),), goal=bound)
        for label, share, bound in shares
    ]


def _gateway(setting: Setting, store: str) -> gateway.Gateway:
    return gateway.start(
        setting.place("gateway"),
        setting.pictures.folder,
        workers=WORKERS,
        render={"children": 1},
        sections={"store": store, "watch": UNWATCHED},
    )


async def _live(
    gates: Sequence[gateway.Gateway], url: str, count: int, cuts: int, trouble: Trouble | None
) -> tuple[list[float], list[float], int]:
    """Seconds of each worker and revocation, those under `trouble`, and how many workers were asked."""
    crowd = Crowd(gates, [connection for gate in gates for connection in await _one_a_worker(gate)])
    store = await open_store(url)
    try:
        calm = [taken for _ in range(count) for taken in await _revoked(store, crowd, None)]
        rough = [taken for _ in range(cuts) for taken in await _revoked(store, crowd, trouble)]
        for jti in crowd.jtis:
            if set(await crowd.ask(jti)) != {REVOKED}:
                raise RuntimeError("what was revoked opens again")
    finally:
        await store.close()
    return calm, rough, len(crowd)


async def _revoked(store: Store, crowd: Crowd, trouble: Trouble | None) -> list[float]:
    jti = await crowd.open()
    asked = asyncio.create_task(crowd.refused(jti))
    if trouble is not None:
        await trouble()
    now = time.time()
    revocation = Revocation(kind="jti", value=jti, created=now, expires=int(now) + gateway.LIFE)
    await _appended(store, revocation)
    start = time.perf_counter()
    return [max(0.0, moment - start) for moment in await asked]


async def _appended(store: Store, revocation: Revocation) -> None:
    """Acknowledged; the one who appends may have been cut off too. An entry that is there twice says nothing more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await store.revocations.append((revocation,))
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                return


async def _one_a_worker(gate: gateway.Gateway) -> list[load.Conversation]:
    """The workers share a listening socket, so connections are opened until each has one."""
    found: dict[int, load.Conversation] = {}
    async with asyncio.timeout(PATIENCE):
        while len(found) < WORKERS:
            connection = await load.connect(gate.address)
            await connection.ask(gate.target("small.jpg", "w=200"), time.perf_counter())
            worker = processes.peer_of(connection.port, gate.workers)
            if worker in found or worker is None:
                connection.close()
            else:
                found[worker] = connection
    return list(found.values())


async def _cut(server: RedisServer) -> None:
    try:
        await asyncio.to_thread(server.client.client_kill_filter, _type="normal", skipme=True)
    except RedisError as error:
        raise RuntimeError(str(error)) from error
