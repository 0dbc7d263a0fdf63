"""(j) Three times more requests than can be rendered, arriving whether or not earlier ones were answered."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import islice

from benchmarks import gateway, load
from benchmarks.bare import QUALITY
from benchmarks.figures import Figure, Goal, percentile, ratios
from benchmarks.result import Result
from benchmarks.setting import Setting

WORKERS = 2
CLIENTS = 4
TIMES = 3.0


def measure(setting: Setting) -> Result:
    """Capacity (closed loop) and overload (open loop) in turn; goodput is 200s a second while requests arrive."""
    seconds = setting.seconds(5.0, 2.0)
    rates: list[float] = []
    goodput: list[float] = []
    refusals: list[float] = []
    strays: list[float] = []
    notes = []
    with gateway.start(setting.place("gateway"), setting.pictures.folder, workers=WORKERS) as gate:
        targets = _targets(setting, gate)
        load.run(partial(load.closed_loop, gate.address, list(islice(targets, 40)), CLIENTS))
        for number in range(setting.rounds(5)):
            setting.say(f"  round {number + 1}")
            capacity = _capacity(gate, targets, seconds)
            arrivals = list(islice(targets, int(TIMES * capacity * seconds) + 1))
            crowd = load.run(partial(load.open_loop, gate.address, arrivals, TIMES * capacity, seconds))
            end = min(sample.at for sample in crowd.samples) + seconds
            rates.append(capacity)
            goodput.append(sum(sample.at + sample.seconds <= end for sample in crowd.good) / seconds)
            shed = [sample.seconds for sample in crowd.samples if sample.status == 503]
            refusals.append(percentile(shed, 0.99) if shed else float("nan"))
            strays.append(sum(sample.status not in (200, 503) for sample in crowd.samples))
            notes.append(
                f"round {number + 1}: capacity {capacity:.0f}/s, statuses {crowd.statuses}, p99 of the 200s "
                f"{crowd.latency(0.99) * 1000:.0f} ms, the client used {crowd.client_cpu / seconds:.0%} of a core"
            )
    measured = tuple(value for value in refusals if not math.isnan(value))
    return Result(
        name="overload",
        title=f"{TIMES:g}x overload by uncached renders of the medium picture",
        figures=(
            Figure(label="goodput / capacity", unit="x", samples=ratios(goodput, rates), goal=Goal("at least", 0.85)),
            Figure(label="time to 503, p99", unit="s", samples=measured, goal=Goal("at most", 0.1)),
            Figure(label="neither 200 nor 503", unit="", samples=tuple(strays), goal=Goal("exactly", 0), worst=True),
        ),
        notes=(
            f"capacity: 200s a second of {CLIENTS} clients in a closed loop, just before each overload",
            "the client shares the cores, and under overload it takes more of them than under capacity",
            "each request is timed from the moment at which it was due",
            *notes,
        ),
    )


def _targets(setting: Setting, gate: gateway.Gateway) -> Iterator[str]:
    query = f"w={setting.pictures.size('medium').width}&q={QUALITY}"
    return (gate.target(key, query) for key in setting.pictures.endless("medium"))


def _capacity(gate: gateway.Gateway, targets: Iterator[str], seconds: float) -> float:
    end = load.deadline(seconds)
    run = load.run(partial(load.closed_loop, gate.address, targets, CLIENTS, until=end))
    if not run.good:
        raise RuntimeError(f"capacity could not be measured: {run.statuses}\n{gate.tail()}")
    return run.rate
