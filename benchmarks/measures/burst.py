"""(c) A hundred requests at once for one picture that nobody has asked for before."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from benchmarks import gateway, load, origin
from benchmarks.bare import QUALITY
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.result import Result
from benchmarks.setting import Setting

REQUESTS = 100
WORKERS = 2
ONCE = Goal("exactly", 1)


def measure(setting: Setting) -> Result:
    """Fetches by the origin's own log, renders and fetches by the gateway's metrics, in each burst."""
    folder = setting.pictures.folder
    figures: dict[str, list[float]] = {"logged": [], "fetched": [], "rendered": [], "failed": [], "slowest": []}
    with (
        origin.running(folder, setting.place("origin") / "log") as remote,
        gateway.start(setting.place("gateway"), folder, workers=WORKERS, remote=remote.url) as gate,
    ):
        for number in range(setting.rounds(20, 3)):
            setting.say(f"  burst {number + 1}")
            key = setting.pictures.fresh("large", 1)[0]
            target = gate.target(key, f"w=800&q={QUALITY}", site="remote")
            alone = _one(setting, gate)
            fetched, rendered = gate.count(gateway.FETCHES), gate.count(gateway.RENDERS)
            samples = load.run(partial(_burst, gate.address, target))
            figures["logged"].append(remote.requests(key))
            figures["fetched"].append(gate.count(gateway.FETCHES) - fetched)
            figures["rendered"].append(gate.count(gateway.RENDERS) - rendered)
            figures["failed"].append(sum(sample.status != 200 for sample in samples))
            figures["slowest"].append(percentile([sample.seconds for sample in samples], 1.0) / alone)
    return Result(
        name="burst",
        title=f"{REQUESTS} concurrent requests for one cold URL, {WORKERS} workers",
        figures=(
            _worst("GETs in the origin's log", figures["logged"], ONCE),
            _worst("origin requests by metrics", figures["fetched"], ONCE),
            _worst("renders by metrics", figures["rendered"], ONCE),
            _worst("answers other than 200", figures["failed"], Goal("exactly", 0)),
            Figure(label="slowest of the burst / one request alone", unit="x", samples=tuple(figures["slowest"])),
        ),
        notes=(
            "2-3 MB original over HTTP to 800 px; all connections are open before the first request is sent",
            "client, origin and gateway share the cores",
        ),
    )


def _worst(label: str, samples: list[float], goal: Goal) -> Figure:
    return Figure(label=label, unit="", samples=tuple(samples), goal=goal, worst=True)


def _one(setting: Setting, gate: gateway.Gateway) -> float:
    key = setting.pictures.fresh("large", 1)[0]
    target = gate.target(key, f"w=800&q={QUALITY}", site="remote")
    sample = load.run(partial(load.ask_once, gate.address, target))
    if sample.status != 200:
        raise RuntimeError(f"a single request answered {sample.status}\n{gate.tail()}")
    return sample.seconds


async def _burst(address: load.Address, target: str) -> list[load.Sample]:
    connections = [await load.connect(address) for _ in range(REQUESTS)]
    async with asyncio.timeout(60):
        asked = [connection.ask(target, time.perf_counter()) for connection in connections]
        samples = await asyncio.gather(*asked)
    for connection in connections:
        connection.close()
    return list(samples)
