"""(f) Files that cost far more than their size: when they are refused, and what those that are not refused take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain

from benchmarks import gateway, load, processes
from benchmarks.bombs import ADMITTED, BOMBS, Bomb
from benchmarks.figures import Figure, Goal, median
from benchmarks.result import Result
from benchmarks.setting import Setting

REFUSED_WITHIN = Goal("at most", 0.005)
WITHIN_PREDICTION = Goal("at most", 1.25)


@dataclass(frozen=True, slots=True)
class Blast:
    """What one bomb did in each round: the child's seconds and growth in bytes; the last answer and object key."""

    inside: tuple[float, ...]
    grown: tuple[float, ...]
    answer: str
    key: str


def measure(setting: Setting) -> Result:
    """One child; each bomb under fresh names, a good picture after each."""
    figures: list[Figure] = []
    notes = [
        "refused after: the time that the child had the job; what the default limits admit is decoded",
        "memory: growth of the child's peak RSS, against what the cost gate predicts",
    ]
    one = {"children": 1}
    strict = {**one, "max_memory": 1}
    folder = setting.pictures.folder
    with (
        gateway.start(setting.place("gateway"), folder, workers=1, render=one) as gate,
        gateway.start(setting.place("strict"), folder, workers=1, render=strict) as oracle,
    ):
        for bomb in chain(BOMBS, ADMITTED):
            setting.say(f"  {bomb.name}")
            blast = _blast(setting, gate, bomb, notes)
            figures.append(_figure(oracle, bomb, blast, notes))
    return Result(
        name="bombs",
        title="bombs: refused from the header, or within their prediction",
        figures=tuple(figures),
        notes=tuple(notes),
    )


def _blast(setting: Setting, gate: gateway.Gateway, bomb: Bomb, notes: list[str]) -> Blast:
    body = bomb.make()
    inside: list[float] = []
    whole: list[float] = []
    grown: list[float] = []
    answer = key = ""
    for _ in range(setting.rounds(5)):
        key = setting.pictures.place(body)
        children = gate.render_children
        processes.forget_peak(children)
        rest = {pid: processes.peak_rss(pid) for pid in children}
        before = gate.count(gateway.RENDER_SECONDS)
        sample = load.run(partial(load.ask_once, gate.address, gate.target(key, _query(bomb))))
        inside.append(gate.count(gateway.RENDER_SECONDS) - before)
        whole.append(sample.seconds)
        grown.append(float(sum(max(0, processes.peak_rss(pid) - held) for pid, held in rest.items())))
        answer = f"{sample.status} {load.header(sample, 'countermark-reason')}".strip()
        _good(gate, setting)
    notes.append(
        f"{bomb.name}: {len(body)} bytes, answered {answer} after {median(whole) * 1000:.1f} ms end to end, "
        f"the child grew by {max(grown) / 1e6:.0f} MB"
    )
    return Blast(tuple(inside), tuple(grown), answer, key)


def _figure(oracle: gateway.Gateway, bomb: Bomb, blast: Blast, notes: list[str]) -> Figure:
    if not blast.answer.startswith("200"):
        return Figure(label=f"{bomb.name}: refused after", unit="s", samples=blast.inside, goal=REFUSED_WITHIN)
    if bomb in BOMBS:
        label = f"{bomb.name}: rounds in which it was decoded instead of refused"
        return Figure(label=label, unit="", samples=(float(len(blast.inside)),), goal=Goal("exactly", 0))
    predicted = oracle.predicted_memory(blast.key, _query(bomb))
    notes.append(f"{bomb.name}: predicted {predicted / 1e6:.0f} MB")
    share = tuple(grown / predicted for grown in blast.grown)
    return Figure(
        label=f"{bomb.name}: memory / prediction", unit="x", samples=share, goal=WITHIN_PREDICTION, worst=True
    )


def _query(bomb: Bomb) -> str:
    return f"w=800&fm={'webp' if bomb.animated else 'jpeg'}"


def _good(gate: gateway.Gateway, setting: Setting) -> None:
    """The child works on, or its successor does."""
    key = setting.pictures.fresh("small", 1)[0]
    sample = load.run(partial(load.ask_once, gate.address, gate.target(key, "w=200")))
    if sample.status != 200:
        raise RuntimeError(f"a good picture after a bomb answered {sample.status}\n{gate.tail()}")
