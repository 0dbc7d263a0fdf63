"""(h) A thousand slow connections against a gateway that may open 512 files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import repeat

from benchmarks import attack, gateway, load
from benchmarks.figures import Figure, Goal, ratios
from benchmarks.result import Result
from benchmarks.setting import Setting, tool

SLOW = 1000
DESCRIPTORS = 512
RATE = 150.0
KINDS = {"trickle": "header byte by byte", "reader": "never reads its answer"}


def measure(setting: Setting) -> Result:
    """Good clients, each request on a connection of its own, alone and under attack in turn."""
    title = f"{SLOW} slow connections at {DESCRIPTORS} descriptors"
    if not tool("taskset"):
        return Result(name="slow", title=title, figures=(), absent=("taskset",))
    (setting.pictures.folder / "long.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200_000_000))
    server, client = 0, setting.cores - 1
    here = os.sched_getaffinity(0)
    figures: list[Figure] = []
    notes = [
        "the slow clients' process is nice, so that it does not delay the good clients on their own core",
        f"one worker, pinned to core {server}; good and slow clients on core {client}",
        f"good: {RATE:g} requests a second for a cached 200 px picture, each on a new connection from one address",
        f"slow: they have {attack.SOURCES} other addresses and come back {attack.RETURN:g} s after they are thrown out",
    ]
    folder = setting.place("gateway")
    with gateway.start(
        folder, setting.pictures.folder, workers=1, cores=[server], descriptors=DESCRIPTORS, render={"children": 1}
    ) as gate:
        os.sched_setaffinity(0, [client])
        try:
            for kind, words in KINDS.items():
                setting.say(f"  {words}")
                figures += _attack(setting, gate, kind, words, client, notes)
        finally:
            os.sched_setaffinity(0, here)
    return Result(name="slow", title=title, figures=tuple(figures), notes=tuple(notes))


def _attack(
    setting: Setting, gate: gateway.Gateway, kind: str, words: str, core: int, notes: list[str]
) -> list[Figure]:
    quiet, loud = [], []
    for _ in range(setting.rounds(5)):
        quiet.append(_good(setting, gate))
        with attack.running(gate.address, SLOW, kind, gate.target("long.jpg"), core) as tally:
            loud.append(_good(setting, gate))
    notes.append(f"{words}, last round: {tally.counts}; statuses of the good under attack {loud[-1].statuses}")
    return [
        Figure(
            label=f"{words}: good requests answered",
            unit="%",
            samples=tuple(100 * len(run.good) / len(run.samples) for run in loud),
            goal=Goal("at least", 100),
        ),
        Figure(label=f"{words}: p99, attacked / quiet", unit="x", samples=_p99(loud, quiet), goal=Goal("at most", 1.3)),
    ]


def _p99(loud: Sequence[load.Load], quiet: Sequence[load.Load]) -> tuple[float, ...]:
    return ratios([run.latency(0.99) for run in loud], [run.latency(0.99) for run in quiet])


def _good(setting: Setting, gate: gateway.Gateway) -> load.Load:
    targets = repeat(gate.target("small.jpg", "w=200"))
    seconds = setting.seconds(8.0, 3.0)
    return load.run(partial(load.open_loop, gate.address, targets, RATE, seconds, fresh=True))
