"""(f) Files that cost far more than their size: when they are refused, and what those that are not refused take."""

from __future__ import annotations

from functools import partial

from benchmarks import gateway, load, processes
from benchmarks.bombs import ADMITTED, BOMBS, Bomb
from benchmarks.figures import Figure, Goal, median
from benchmarks.result import Result
from benchmarks.setting import Setting

WIDTH = 800


def measure(setting: Setting) -> Result:
    """At the wall: the time to each refusal. Through a gateway with one child: memory, and that it serves on."""
    setting.say("  refusals at the wall")
    notes = [
        "refused after: from when the child is given the original to its verdict; a bomb that is decoded counts with "
        "all the time that it took",
        "memory: how far the child's peak RSS rose above its rest, against what the cost gate predicts",
    ]
    figures = _refusals(setting, notes)
    one = {"children": 1}
    folder = setting.pictures.folder
    with (
        gateway.start(setting.place("gateway"), folder, workers=1, render=one) as gate,
        gateway.start(setting.place("strict"), folder, workers=1, render={**one, "max_memory": 1}) as oracle,
    ):
        for bomb in BOMBS:
            setting.say(f"  {bomb.name}")
            grown = _grown(setting, gate, bomb, notes)
            figures.append(Figure(label=f"{bomb.name}: child grew by", unit="MB", samples=grown, worst=True))
        for bomb in ADMITTED:
            setting.say(f"  {bomb.name}")
            figures.append(_prediction(setting, gate, oracle, bomb, notes))
    return Result(
        name="bombs",
        title="refused from the header, or within their prediction",
        figures=tuple(figures),
        notes=tuple(notes),
    )


def _refusals(setting: Setting, notes: list[str]) -> list[Figure]:
    files = [(bomb.make(), bomb.target) for bomb in BOMBS]
    work = partial(gateway.refusals, files, width=WIDTH, rounds=setting.rounds(20, 5))
    figures = []
    for bomb, (body, _), (reason, taken) in zip(BOMBS, files, load.run(work), strict=True):
        notes.append(f"{bomb.name}: {len(body)} bytes, {reason or 'decoded'}, median {median(taken) * 1000:.2f} ms")
        label = f"{bomb.name}: {'refused' if reason else 'decoded instead of refused'} after"
        figures.append(Figure(label=label, unit="s", samples=tuple(taken), goal=Goal("at most", 0.005)))
    return figures


def _prediction(
    setting: Setting, gate: gateway.Gateway, oracle: gateway.Gateway, bomb: Bomb, notes: list[str]
) -> Figure:
    grown = _grown(setting, gate, bomb, notes)
    predicted = oracle.predicted_memory(setting.pictures.place(bomb.make()), _query(bomb)) / 1e6
    notes.append(f"{bomb.name}: predicted {predicted:.0f} MB")
    share = tuple(memory / predicted for memory in grown)
    goal = Goal("at most", 1.25)
    return Figure(label=f"{bomb.name}: memory / prediction", unit="x", samples=share, goal=goal, worst=True)


def _grown(setting: Setting, gate: gateway.Gateway, bomb: Bomb, notes: list[str]) -> tuple[float, ...]:
    """Megabytes by which the child grew in each round, a good picture after each."""
    body = bomb.make()
    grown: list[float] = []
    whole: list[float] = []
    answer = ""
    for _ in range(setting.rounds(5)):
        children = gate.render_children
        processes.forget_peak(children)
        rest = {pid: processes.peak_rss(pid) for pid in children}
        target = gate.target(setting.pictures.place(body), _query(bomb))
        with processes.PeakWatch(children) as watch:
            sample = load.run(partial(load.ask_once, gate.address, target))
        grown.append(sum(max(0, watch.peaks[pid] - held) for pid, held in rest.items()) / 1e6)
        whole.append(sample.seconds)
        answer = f"{sample.status} {load.header(sample, 'countermark-reason')}".strip()
        _good(gate, setting)
    notes.append(f"{bomb.name}: answered {answer} after {median(whole) * 1000:.1f} ms end to end")
    return tuple(grown)


def _query(bomb: Bomb) -> str:
    return f"w={WIDTH}&fm={bomb.target}"


def _good(gate: gateway.Gateway, setting: Setting) -> None:
    """The child works on, or its successor does."""
    key = setting.pictures.fresh("small", 1)[0]
    sample = load.run(partial(load.ask_once, gate.address, gate.target(key, "w=200")))
    if sample.status != 200:
        raise RuntimeError(f"a good picture after a bomb answered {sample.status}\n{gate.tail()}")
