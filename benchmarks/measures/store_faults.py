"""(h) A Redis that dies or falls silent: when it is known, what the others pay, and when it is over."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

from benchmarks.figures import Figure, Goal, percentile
from benchmarks.redis_server import RedisServer, installed
from benchmarks.result import Result
from benchmarks.setting import Setting
from countermark.backends.stores.table import open_store
from countermark.core.errors import StoreUnavailable
from countermark.ports import Store, Ticket
from countermark.traffic.gcra import Limit

LIMITS = (Limit(name="client", key="client:a", interval=1e-6, burst=10**6),)


def measure(setting: Setting) -> Result:
    """Some rounds of each fault."""
    if not installed():
        return Result(name="store_faults", title="a store in trouble", figures=(), absent=("redis-server",))
    figures: list[Figure] = []
    with RedisServer(setting.place("store_faults") / "redis") as server:
        faults: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "dead": (server.kill, server.start),
            "silent": (lambda: server.signal(signal.SIGSTOP), lambda: server.signal(signal.SIGCONT)),
        }
        for name, (begin, end) in faults.items():
            setting.say(f"  {name}")
            rounds = [asyncio.run(_round(server, begin, end)) for _ in range(setting.rounds(10, 3))]
            known, back, waited = (tuple(values) for values in zip(*rounds, strict=True))
            figures += [
                Figure(label=f"{name}: known after", unit="s", samples=known, goal=Goal("at most", 0.1), worst=True),
                Figure(label=f"{name}: over after", unit="s", samples=back, goal=Goal("at most", 1.0), worst=True),
                Figure(label=f"{name}: p99 of limits while known / with the store", unit="x", samples=waited,
                       goal=Goal("at most", 1.2)),
            ]  # fmt: skip
    return Result(
        name="store_faults",
        title="a store in trouble is known, costs the others nothing, and is found again",
        figures=tuple(figures),
        notes=("known: from a ticket's try to its refusal; over: from the server's return to the first ticket let in",),
    )


async def _round(server: RedisServer, begin: Callable[[], None], end: Callable[[], None]) -> tuple[float, float, float]:
    store = await open_store(f"redis://127.0.0.1:{server.port}")
    before = await _waits(store)
    begin()
    start = time.monotonic()
    if await _opens(store):
        raise RuntimeError("a store that is away let a ticket in")
    known = time.monotonic() - start
    during = await _waits(store)
    await asyncio.to_thread(end)
    start = time.monotonic()
    await _opened(store)
    back = time.monotonic() - start
    await store.close()
    store.cells.file.unlink(missing_ok=True)
    return known, back, percentile(during, 0.99) / percentile(before, 0.99)


async def _waits(store: Store) -> list[float]:
    """Seconds that a request's limits take."""
    taken = []
    for _ in range(1000):
        start = time.perf_counter()
        now = time.time()
        if store.turnstile.at_once(LIMITS, now) is None:
            await store.turnstile.enter(LIMITS, None, now)
        taken.append(time.perf_counter() - start)
    return taken


async def _opened(store: Store) -> None:
    while True:
        if await _opens(store):
            return
        await asyncio.sleep(0.005)


async def _opens(store: Store) -> bool:
    now = time.time()
    ticket = Ticket(id=f"{now}", issued=now + 60, expires=int(now) + 60, attempt="a")
    try:
        await store.turnstile.enter((), ticket, now)
    except StoreUnavailable:
        return False
    return True
