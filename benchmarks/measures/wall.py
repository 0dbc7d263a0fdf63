"""(g) A decode that hangs, and children that are killed: how soon the slot is free, and who notices."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import islice

from benchmarks import bombs, gateway, load, processes
from benchmarks.figures import Figure, Goal, longest_gap, median
from benchmarks.result import Result
from benchmarks.setting import Setting

DEADLINE = 1.0
HANG_SIDE = 120_000
NO_LIMIT = {"max_side": 10**6, "max_pixels": 10**12, "max_memory": "16GiB"}
CLIENTS = 4
CHILDREN = 2
BETWEEN = 0.5


def measure(setting: Setting) -> Result:
    """Hangs on a gateway with one child; kills on one with two children and four busy clients."""
    notes: list[str] = []
    figures = [*_hangs(setting, notes), *_kills(setting, notes)]
    return Result(name="wall", title="a hang in C, and kill -9 of a child", figures=tuple(figures), notes=tuple(notes))


def _hangs(setting: Setting, notes: list[str]) -> list[Figure]:
    body = bombs.png(HANG_SIDE, depth=1, colour=0)
    answered: list[float] = []
    freed: list[float] = []
    statuses = set()
    limits = {"children": 1, "deadline": DEADLINE, **gateway.PATIENT, **NO_LIMIT}
    with gateway.start(setting.place("gateway"), setting.pictures.folder, workers=1, render=limits) as gate:
        for number in range(setting.rounds(5)):
            setting.say(f"  hang {number + 1}")
            (setting.pictures.folder / f"hang-{number}.png").write_bytes(body)
            hung, waiting, quiet = load.run(partial(_hang, setting, gate, f"hang-{number}.png"))
            statuses.add(f"{hung.status} {load.header(hung, 'countermark-reason')}".strip())
            answered.append(hung.seconds - DEADLINE)
            if waiting.status != 200:
                raise RuntimeError(f"the request that waited for the slot answered {waiting.status}\n{gate.tail()}")
            freed.append(waiting.at + waiting.seconds - hung.at - DEADLINE - quiet)
    notes.append(
        f"hang: a PNG of {HANG_SIDE}² one-bit pixels ({len(body) / 1e6:.1f} MB) keeps libvips in C for many seconds; "
        f"limits raised to let it in, deadline {DEADLINE:g} s, one child; answered {', '.join(sorted(statuses))}"
    )
    notes.append(
        "freed: a good request sent while it hangs, less the deadline and less what such a request takes in quiet"
    )
    within = Goal("at most", 0.2)
    return [
        Figure(
            label="hang: answered after its deadline by", unit="s", samples=tuple(answered), goal=within, worst=True
        ),
        Figure(
            label="hang: slot working again after the deadline by",
            unit="s",
            samples=tuple(freed),
            goal=within,
            worst=True,
        ),
    ]


async def _hang(setting: Setting, gate: gateway.Gateway, key: str) -> tuple[load.Sample, load.Sample, float]:
    one, two, three = (gate.target(name, "w=200") for name in setting.pictures.fresh("small", 3))
    await load.ask_once(gate.address, one)
    quiet = await load.ask_once(gate.address, two)
    hung = asyncio.create_task(load.ask_once(gate.address, gate.target(key, "w=200")))
    await asyncio.sleep(0.3)
    waiting = await load.ask_once(gate.address, three)
    return await hung, waiting, quiet.seconds


def _kills(setting: Setting, notes: list[str]) -> list[Figure]:
    failed: list[float] = []
    strange: list[float] = []
    gaps: list[float] = []
    calm: list[float] = []
    with gateway.start(
        setting.place("gateway"), setting.pictures.folder, workers=1, render={"children": CHILDREN, **gateway.PATIENT}
    ) as gate:
        for number in range(setting.rounds(20, 4)):
            setting.say(f"  kill {number + 1}")
            run, killed = load.run(partial(_kill, setting, gate))
            bad = [sample for sample in run.samples if sample.status != 200]
            failed.append(len(bad))
            strange.append(sum(not _is_crash(sample) for sample in bad))
            moments = [sample.at + sample.seconds for sample in run.good]
            gaps.append(longest_gap(moments, killed, killed + BETWEEN))
            calm.append(longest_gap(moments, killed - BETWEEN, killed))
    notes.append(
        f"kill: {CHILDREN} children and {CLIENTS} clients with uncached renders of the medium picture, so that the one "
        f"killed is at work; the longest gap in the {BETWEEN:g} s before a kill was {median(calm) * 1000:.0f} ms"
    )
    return [
        Figure(
            label="kill: failed requests for each kill",
            unit="",
            samples=tuple(failed),
            goal=Goal("at most", 1),
            worst=True,
        ),
        Figure(
            label="kill: failures that are not 503 render_crashed",
            unit="",
            samples=tuple(strange),
            goal=Goal("exactly", 0),
            worst=True,
        ),
        Figure(
            label="kill: longest gap without a success",
            unit="s",
            samples=tuple(gaps),
            goal=Goal("at most", 0.2),
            worst=True,
        ),
    ]


def _is_crash(sample: load.Sample) -> bool:
    return sample.status == 503 and load.header(sample, "countermark-reason") == "render_crashed"


async def _kill(setting: Setting, gate: gateway.Gateway) -> tuple[load.Load, float]:
    keys = islice(setting.pictures.endless("medium"), 2000)
    targets = (gate.target(key, "w=400") for key in keys)
    done = asyncio.Event()
    running = asyncio.create_task(load.closed_loop(gate.address, targets, CLIENTS, until=done.is_set))
    await asyncio.sleep(BETWEEN + 0.1)
    victim = gate.render_children[0]
    killed = time.perf_counter()
    processes.kill(victim)
    await asyncio.sleep(BETWEEN + 0.1)
    done.set()
    return await running, killed
