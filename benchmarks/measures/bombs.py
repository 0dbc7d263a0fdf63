"""(f) Files that cost far more than their size: when they are refused, and what those that are not refused take."""

from __future__ import annotations

from functools import partial

from benchmarks import gateway, load, processes
from benchmarks.bombs import BOMBS, Bomb
from benchmarks.figures import Figure, Goal, median
from benchmarks.result import Result
from benchmarks.setting import Setting

QUERY = "w=800&fm=jpeg"
SOON = Goal("at most", 0.005)


def measure(setting: Setting) -> Result:
    """One child; each bomb under fresh names, a good picture between any two."""
    figures: list[Figure] = []
    notes = [
        "refusal: the child's own time from the job's arrival to its verdict; what the default limits allow is decoded, and its "
        "peak memory (RSS of the child above its rest) is held against the prediction",
    ]
    places = setting.pictures.folder / "bombs"
    places.mkdir()
    one = {"children": 1}
    with (
        gateway.start(setting.place("gateway"), setting.pictures.folder, workers=1, render=one) as gate,
        gateway.start(
            setting.place("strict"), setting.pictures.folder, workers=1, render={**one, "max_memory": 1}
        ) as strict,
    ):
        for number, bomb in enumerate(BOMBS):
            setting.say(f"  {bomb.name}")
            figures += _bomb(setting, gate, strict, number, bomb, notes)
    return Result(
        name="bombs",
        title="bombs: refused from the header, or within their prediction",
        figures=tuple(figures),
        notes=tuple(notes),
    )


def _bomb(
    setting: Setting, gate: gateway.Gateway, strict: gateway.Gateway, number: int, bomb: Bomb, notes: list[str]
) -> list[Figure]:
    body = bomb.make()
    inside: list[float] = []
    whole: list[float] = []
    grown: list[float] = []
    said = ""
    for turn in range(setting.rounds(5)):
        key = f"bombs/{number}-{turn}.{bomb.extension}"
        (setting.pictures.folder / key).write_bytes(body)
        children = gate.render_children
        processes.forget_peak(children)
        rest = {pid: processes.peak_rss(pid) for pid in children}
        before = gate.count(gateway.RENDER_SECONDS)
        sample = load.run(partial(load.ask_once, gate.address, gate.target(key, QUERY)))
        inside.append(gate.count(gateway.RENDER_SECONDS) - before)
        whole.append(sample.seconds)
        grown.append(sum(max(0, processes.peak_rss(pid) - held) for pid, held in rest.items()) / 1e6)
        said = f"{sample.status} {load.header(sample, 'countermark-reason')}".strip()
        _good(gate, setting)
    notes.append(
        f"{bomb.name}: {len(body)} bytes, answered {said} after {median(whole) * 1000:.1f} ms end to end, "
        f"the child grew by {max(grown):.0f} MB"
    )
    if not said.startswith("200"):
        return [Figure(label=f"{bomb.name}: refused after", unit="s", samples=tuple(inside), goal=SOON)]
    predicted = strict.predicted_memory(key, QUERY) / 1e6
    notes.append(f"{bomb.name}: predicted {predicted:.0f} MB")
    return _decoded(bomb, tuple(memory / predicted for memory in grown))


def _decoded(bomb: Bomb, share: tuple[float, ...]) -> list[Figure]:
    figures = [
        Figure(
            label=f"{bomb.name}: memory / prediction", unit="x", samples=share, goal=Goal("at most", 1.25), worst=True
        )
    ]
    if bomb.refused:
        refused = Figure(
            label=f"{bomb.name}: decoded instead of refused", unit="", samples=(1.0,), goal=Goal("exactly", 0)
        )
        figures.append(refused)
    return figures


def _good(gate: gateway.Gateway, setting: Setting) -> None:
    """The child works on, or its successor does."""
    key = setting.pictures.fresh("small", 1)[0]
    sample = load.run(partial(load.ask_once, gate.address, gate.target(key, "w=200")))
    if sample.status != 200:
        raise RuntimeError(f"a good picture after a bomb answered {sample.status}\n{gate.tail()}")
