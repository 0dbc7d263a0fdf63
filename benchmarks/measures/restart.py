"""(i) Restarts under keep-alive load: rolling reloads, and whole new gateways that are handed the listening socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import repeat

from benchmarks import gateway, load
from benchmarks.figures import Figure, Goal
from benchmarks.result import Result
from benchmarks.setting import Setting

RESTARTS = 10
WORKERS = 2
RATE = 250.0


def measure(setting: Setting) -> Result:
    """Every request that was not answered with 200 counts as failed, also one that met a connection just closed."""
    restarts = setting.rounds(RESTARTS, 2)
    reloads = load.run(partial(_reloads, setting, restarts))
    handovers = load.run(partial(_handovers, setting, restarts))
    return Result(
        name="restart",
        title=f"{restarts} restarts under {RATE:g} keep-alive requests a second",
        figures=(_failed("SIGHUP", reloads), _failed("LISTEN_FDS hand-over", handovers)),
        notes=(
            f"cached pictures, {WORKERS} workers; connections are kept and used again, and nothing is tried twice",
            f"SIGHUP: {len(reloads.samples)} requests in {reloads.seconds:.1f} s, statuses {reloads.statuses}",
            f"hand-over: {len(handovers.samples)} requests in {handovers.seconds:.1f} s, statuses {handovers.statuses}",
        ),
    )


def _failed(how: str, run: load.Load) -> Figure:
    failed = len(run.samples) - len(run.good)
    return Figure(label=f"{how}: failed requests", unit="", samples=(float(failed),), goal=Goal("exactly", 0))


async def _reloads(setting: Setting, restarts: int) -> load.Load:
    gate = await asyncio.to_thread(gateway.start, setting.place("gateway"), setting.pictures.folder, workers=WORKERS)
    with gate:

        async def restart() -> None:
            await asyncio.to_thread(gate.reload)
            setting.say("  reloaded")

        return await _under_load(gate, restart, restarts)


async def _handovers(setting: Setting, restarts: int) -> load.Load:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        places = [setting.place("gateway") for _ in range(restarts + 1)]

        async def start() -> gateway.Gateway:
            begin = partial(gateway.start, workers=WORKERS, listening=listening)
            return stack.enter_context(await asyncio.to_thread(begin, places.pop(), setting.pictures.folder))

        current = [await start()]

        async def restart() -> None:
            old = current.pop()
            current.append(await start())
            await asyncio.to_thread(old.stop)
            setting.say("  handed over")

        return await _under_load(current[0], restart, restarts)


async def _under_load(gate: gateway.Gateway, restart: Callable[[], Awaitable[None]], restarts: int) -> load.Load:
    done = asyncio.Event()
    targets = repeat(gate.target("small.jpg", "w=200"))
    running = asyncio.create_task(load.open_loop(gate.address, targets, RATE, 300.0, until=done.is_set))
    try:
        for _ in range(restarts):
            await asyncio.sleep(0.3)
            await restart()
        await asyncio.sleep(0.3)
    finally:
        done.set()
        run = await running
    return run
