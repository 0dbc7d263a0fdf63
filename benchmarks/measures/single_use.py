"""(g) One-time tickets tried by four processes while their store is killed, forgets, and fails over."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from benchmarks.figures import Figure, Goal
from benchmarks.redis_server import RedisServer, installed
from benchmarks.result import Result
from benchmarks.setting import Setting
from countermark.backends.stores.redis.turnstile import SKEW
from countermark.backends.stores.table import open_store
from countermark.core.errors import StoreUnavailable, Used
from countermark.ports import Store, Ticket

PROCESSES = 4
IN_FLIGHT = 32
TICKETS = 5000
WAVE_SECONDS = 0.1
LIFE_WAVES = 10


@dataclass(kw_only=True)
class Tally:
    """What came of the tries of one process, or of all."""

    granted: Counter[int] = field(default_factory=Counter)
    used: int = 0
    refused: int = 0

    def add(self, other: Tally) -> None:
        """Count the other's too."""
        self.granted += other.granted
        self.used += other.used
        self.refused += other.refused


@dataclass(frozen=True, kw_only=True)
class Order:
    """What each process does: `tries`, spread over `waves` tenths of a second. In each of them a share of all tickets is
    issued, and tried for a second.

    A ticket says that it was issued as late as the promised skew of clocks allows, which is the worst for the guard.
    """

    url: str
    start: float
    tries: int
    waves: int


async def _tried(order: Order, seed: int) -> Tally:
    store = await open_store(order.url)
    tally = Tally()
    dice = random.Random(seed)
    await asyncio.sleep(max(0.0, order.start - time.time()))
    async with asyncio.timeout(10):
        await _well(store)
    await asyncio.gather(*(_try(store, order, tally, dice) for _ in range(IN_FLIGHT)))
    await store.close()
    return tally


async def _well(store: Store) -> None:
    while True:
        if not store.trouble:
            return
        await asyncio.sleep(0.01)


async def _try(store: Store, order: Order, tally: Tally, dice: random.Random) -> None:
    tries, each = order.tries // IN_FLIGHT, TICKETS // order.waves
    for done in range(tries):
        due = order.start + done / tries * order.waves * WAVE_SECONDS
        await asyncio.sleep(max(0.0, due - time.time()))
        now = min(int((time.time() - order.start) / WAVE_SECONDS), order.waves - 1)
        wave = dice.randint(max(0, now - LIFE_WAVES), now)
        number = wave * each + dice.randrange(each)
        issued = order.start + wave * WAVE_SECONDS + SKEW
        ticket = Ticket(id=f"t{number}", issued=issued, expires=int(issued) + 60, attempt=f"{dice.random()}")
        try:
            await store.turnstile.enter((), ticket, time.time())
        except Used:
            tally.used += 1
        except StoreUnavailable:
            tally.refused += 1
            await asyncio.sleep(0.01)
        else:
            tally.granted[number] += 1


def _process(order: Order, seed: int, tallies: multiprocessing.Queue[Tally]) -> None:
    tallies.put(asyncio.run(_tried(order, seed)))


def _run(url: str, tries: int, waves: int, trouble: Callable[[], None]) -> Tally:
    """All tries, with `trouble` made while they run."""
    asyncio.run(_primed(url))
    context = multiprocessing.get_context("spawn")
    tallies: multiprocessing.Queue[Tally] = context.Queue()
    order = Order(url=url, start=time.time() + 3.0, tries=tries // PROCESSES, waves=waves)
    children = [context.Process(target=_process, args=(order, seed, tallies)) for seed in range(PROCESSES)]
    for child in children:
        child.start()
    time.sleep(max(0.0, order.start - time.time()))
    trouble()
    whole = Tally()
    for _ in children:
        whole.add(tallies.get(timeout=120))
    for child in children:
        child.join()
    return whole


async def _primed(url: str) -> None:
    """The store's life begins before the first ticket is issued."""
    store = await open_store(url)
    for number in range(200):
        ticket = Ticket(id=f"primer {number}", issued=time.time() + 60, expires=None, attempt="primer")
        try:
            await store.turnstile.enter((), ticket, time.time())
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    await store.close()


def _nothing() -> None:
    """No trouble."""


def _killed(server: RedisServer) -> None:
    time.sleep(1.0)
    server.kill()
    time.sleep(0.2)
    server.start()


def _failed_over(primary: RedisServer, replica: RedisServer, successor: RedisServer) -> None:
    """The replica is cut off for 0.3 s, then the primary dies, the replica takes over its port and gets one itself."""
    time.sleep(1.0)
    replica.client.replicaof("127.0.0.1", "1")
    time.sleep(0.3)
    primary.kill()
    replica.client.replicaof("NO", "ONE")
    replica.client.config_set("port", str(primary.port))
    successor.start()


def measure(setting: Setting) -> Result:
    """Double uses, refusals and rate of each case."""
    tries, waves = (20_000, 30) if setting.quick else (100_000, 100)
    figures: list[Figure] = []
    notes = [
        f"{tries} tries at {TICKETS} tickets in {waves * WAVE_SECONDS:.0f} s by {PROCESSES} processes with {IN_FLIGHT} "
        "in flight each",
        "refused: the store could not say whether the ticket was used, or did not know as far back",
    ]
    place = setting.place("single_use")

    def case(name: str, url: str, trouble: Callable[[], None]) -> None:
        setting.say(f"  {name}")
        tally = _run(url, tries, waves, trouble)
        twice = sum(1 for count in tally.granted.values() if count > 1)
        figures.append(
            Figure(
                label=f"{name}: used twice",
                unit="tickets",
                samples=(float(twice),),
                goal=Goal("exactly", 0),
                worst=True,
            )
        )
        share = tally.refused / max(1, tally.refused + tally.used + sum(tally.granted.values()))
        notes.append(
            f"{name}: {len(tally.granted)} granted, {tally.used} used already, {tally.refused} refused ({share:.1%})"
        )

    case("SQLite", f"sqlite:{place}/store.db", _nothing)
    if not installed():
        return _result(figures, notes, absent=("redis-server",))
    with RedisServer(place / "plain") as server:
        case("Redis", f"redis://127.0.0.1:{server.port}", _nothing)
    with RedisServer(place / "killed") as server:
        case("Redis killed, restarted empty", f"redis://127.0.0.1:{server.port}", partial(_killed, server))
    for query, name in (("", "epoch guard"), ("?wait=1", "WAIT 1 too")):
        with ExitStack() as stack:
            primary = stack.enter_context(RedisServer(place / f"primary{len(query)}"))
            replica = stack.enter_context(RedisServer(place / f"replica{len(query)}", replica_of=primary.port))
            next_ = RedisServer(place / f"successor{len(query)}", replica_of=primary.port)
            stack.callback(next_.kill)
            url = f"redis://127.0.0.1:{primary.port}{query}"
            case(f"Redis failed over, {name}", url, partial(_failed_over, primary, replica, next_))
    return _result(figures, notes, absent=())


def _result(figures: list[Figure], notes: list[str], absent: tuple[str, ...]) -> Result:
    return Result(
        name="single_use",
        title="one-time tickets open once",
        figures=tuple(figures),
        notes=tuple(notes),
        absent=absent,
    )
