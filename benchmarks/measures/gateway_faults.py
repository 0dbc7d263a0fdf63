"""(f) A gateway whose Redis is cut off, silent, slow or talks nonsense: who notices, who pays, and when it is over."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, repeat
from pathlib import Path
from typing import get_args

from benchmarks import gateway, load
from benchmarks.faulty import FaultyProxy, Mode
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.redis_server import RedisServer, installed
from benchmarks.result import Result
from benchmarks.setting import Setting

RATE = 400.0
PATIENCE = 10.0
OPEN, UNSURE = 200, 503
CLIENTS = "acme: { rate: 1000000 }\n"
FAULTS = tuple(mode for mode in get_args(Mode) if mode != "pass")


@dataclass(kw_only=True)
class Latencies:
    """Seconds of each hit: of those that need nothing from the store, and of those that are counted there."""

    plain: list[float]
    counted: list[float]


@dataclass(kw_only=True)
class Seen:
    """Of one round: seconds until it was known and over, latencies in the fault and before it, what tickets met."""

    known: float
    over: float
    during: Latencies
    quiet: Latencies
    tickets: Counter[int] = field(default_factory=Counter)


@dataclass(kw_only=True)
class Scene:
    """A gateway, and the way to its store."""

    gate: gateway.Gateway
    proxy: FaultyProxy
    seconds: float
    numbers: count[int] = field(default_factory=count)

    def target(self, *, client: str = "", once: bool = False) -> str:
        facts = {"cid": client} if client else {}
        if once:
            # Issued as late as is believed: a store whose memory has just begun refuses what is older.
            facts |= {"once": f"once-{next(self.numbers):016}", "iat": str(int(time.time()) + 30)}
        return self.gate.target("small.jpg", "w=200", facts=facts)


def measure(setting: Setting) -> Result:
    """Each fault some times, on a gateway that serves while its list of revocations is stale; once on one that refuses."""
    if not installed():
        return _result([], [], ["redis-server"])
    with RedisServer(setting.place("redis")) as server, FaultyProxy(server.port) as proxy:
        with _gateway(setting, proxy, when_stale="serve") as gate:
            scene = Scene(gate=gate, proxy=proxy, seconds=setting.seconds(2.0, 1.0))
            rounds: dict[Mode, list[Seen]] = {mode: [] for mode in FAULTS}
            for _ in range(setting.rounds(7, 1)):
                for mode in FAULTS:
                    setting.say(f"  {mode}")
                    rounds[mode].append(load.run(partial(_round, scene, mode)))
        with _gateway(setting, proxy, when_stale="refuse") as gate:
            scene = Scene(gate=gate, proxy=proxy, seconds=0)
            closed = [load.run(partial(_closed, scene, mode)) for mode in FAULTS]
    figures = [figure for mode, seen in rounds.items() for figure in _figures(mode, seen)]
    figures += [
        Figure(
            label="when_stale refuse: plain URLs refused after", unit="s", samples=tuple(shut for shut, _ in closed)
        ),
        Figure(
            label="when_stale refuse: over after",
            unit="s",
            samples=tuple(back for _, back in closed),
            goal=Goal("at most", 1.0),
            worst=True,
        ),
    ]
    met = {mode: sum((seen.tickets for seen in rounds[mode]), Counter()) for mode in FAULTS}
    notes = [
        "all rows but the last two: revocation.when_stale is serve, else everything is refused after max_staleness (2 s)",
        "known: from the fault to the first single-use URL that is refused with 503, while others are served; over: from "
        "its end to the first single-use URL that opens",
        f"p99: of all rounds together; cached hits at {RATE:g} a second over {setting.seconds(2.0, 1.0):g} s that begin with "
        "the fault, by the same before it, while single-use URLs are tried; counted ones ask the Redis before and are counted "
        "by this machine during it, and those that ask while it is not known yet wait for a tenth of a second",
        *(f"{mode}: single-use URLs during the fault met {dict(met[mode])}" for mode in FAULTS),
    ]
    return _result(figures, notes, [])


def _result(figures: Sequence[Figure], notes: Sequence[str], absent: Sequence[str]) -> Result:
    title = "a gateway whose store is in trouble"
    return Result(name="gateway_faults", title=title, figures=tuple(figures), notes=tuple(notes), absent=tuple(absent))


def _figures(mode: Mode, rounds: Sequence[Seen]) -> list[Figure]:
    def over(goal: float) -> Goal:
        return Goal("at most", goal)

    known, back = tuple(seen.known for seen in rounds), tuple(seen.over for seen in rounds)
    let_in = tuple(float(seen.tickets[OPEN]) for seen in rounds)
    return [
        Figure(label=f"{mode}: known after", unit="s", samples=known, goal=over(0.1), worst=True),
        Figure(label=f"{mode}: single-use URLs opened", unit="", samples=let_in, goal=Goal("exactly", 0), worst=True),
        _p99(f"{mode}: p99 of plain hits", [(s.during.plain, s.quiet.plain) for s in rounds], goal=over(1.2)),
        _p99(f"{mode}: p99 of counted hits", [(s.during.counted, s.quiet.counted) for s in rounds]),
        Figure(label=f"{mode}: over after", unit="s", samples=back, goal=over(1.0), worst=True),
    ]


def _p99(label: str, rounds: Sequence[tuple[list[float], list[float]]], goal: Goal | None = None) -> Figure:
    """Of all rounds together: one round has too few hits to tell its own."""
    during, quiet = (percentile(list(chain.from_iterable(each)), 0.99) for each in zip(*rounds, strict=True))
    return Figure(label=label, unit="x", samples=(during / quiet,), goal=goal)


def _gateway(setting: Setting, proxy: FaultyProxy, *, when_stale: str) -> gateway.Gateway:
    folder: Path = setting.place("gateway")
    (folder / "clients.yaml").write_text(CLIENTS)
    sections = {
        "store": f"redis://127.0.0.1:{proxy.port}",
        "clients": "clients.yaml",
        "watch": {"refusals": 0, "failures": 0},
        "revocation": {"when_stale": when_stale},
    }
    return gateway.start(folder, setting.pictures.folder, workers=1, sections=sections)


async def _round(scene: Scene, mode: Mode) -> Seen:
    await _until(scene, OPEN, once=True)
    quiet = asyncio.create_task(_loads(scene))
    await _tickets(scene, quiet)
    during = asyncio.create_task(_loads(scene))
    await asyncio.to_thread(scene.proxy.become, mode)
    start = time.perf_counter()
    known = await _until(scene, UNSURE, once=True) - start
    tickets = await _tickets(scene, during)
    await asyncio.to_thread(scene.proxy.become, "pass")
    start = time.perf_counter()
    over = await _until(scene, OPEN, once=True) - start
    return Seen(known=known, over=over, during=await during, quiet=await quiet, tickets=tickets)


async def _closed(scene: Scene, mode: Mode) -> tuple[float, float]:
    """Seconds until a plain URL is refused for what may have been revoked, and from the fault's end until it opens."""
    await _until(scene, OPEN)
    await asyncio.to_thread(scene.proxy.become, mode)
    start = time.perf_counter()
    shut = await _until(scene, UNSURE) - start
    await asyncio.to_thread(scene.proxy.become, "pass")
    start = time.perf_counter()
    return shut, await _until(scene, OPEN) - start


async def _until(scene: Scene, status: int, *, once: bool = False) -> float:
    """When a URL is first answered so. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while True:
            sample = await load.ask_once(scene.gate.address, scene.target(once=once))
            if sample.status == status:
                return time.perf_counter()
            await asyncio.sleep(0.005)


async def _tickets(scene: Scene, while_: asyncio.Task[Latencies]) -> Counter[int]:
    met: Counter[int] = Counter()
    while not while_.done():
        met[(await load.ask_once(scene.gate.address, scene.target(once=True))).status] += 1
        await asyncio.sleep(0.02)
    return met


async def _loads(scene: Scene) -> Latencies:
    """Raises RuntimeError where one was not served."""
    targets = (scene.target(), scene.target(client="acme"))
    loads = [load.open_loop(scene.gate.address, repeat(one), RATE / 2, scene.seconds) for one in targets]
    plain, counted = await asyncio.gather(*loads)
    if len(plain.good) + len(counted.good) < len(plain.samples) + len(counted.samples):
        raise RuntimeError(f"plain hits met {plain.statuses}, counted ones {counted.statuses}")
    return Latencies(
        plain=[sample.seconds for sample in plain.good], counted=[sample.seconds for sample in counted.good]
    )
