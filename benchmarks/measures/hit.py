"""(b) A cached hit: one gateway worker against one nginx worker that serves the same bytes behind secure_link."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import gateway, load, nginx, wrk
from benchmarks.figures import Figure, Goal, median, ratios
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting, tool

CONNECTIONS = 16
DISTINCT = 200
BYTES = 20_000


def measure(setting: Setting) -> Result:
    """One URL and 200 distinct URLs, 20 kB each."""
    title = "cached hit of 20 kB, one gateway worker / one nginx worker with secure_link"
    missing = [name for name in ("nginx", "wrk", "taskset") if not tool(name)]
    if missing:
        return Result(name="hit", title=title, figures=(), absent=tuple(missing))
    server, client = 0, setting.cores - 1
    folder = setting.place("hit")
    with gateway.start(setting.place("gateway"), setting.pictures.folder, workers=1, cores=[server]) as gate:
        query, body = _rendition(gate)
        keys = setting.pictures.fresh("small", DISTINCT)
        targets = [gate.target(key, query) for key in keys]
        _warm(gate, targets)
        files = _files(folder / "root", body)
        with nginx.running(folder, folder / "root", workers=1, locations=nginx.SECURE_LINK, cores=[server]) as peer:
            links = [nginx.signed(f"/{file}") for file in files]
            figures: list[Figure] = []
            notes: list[str] = []
            for label, count in (("one URL", 1), (f"{DISTINCT} URLs", DISTINCT)):
                setting.say(f"  {label}")
                ours = partial(_round, setting, gate.address, targets[:count], folder, client)
                theirs = partial(_round, setting, peer.address, links[:count], folder, client)
                sides = alternate({"nginx": theirs, "gateway": ours}, setting.rounds(7))
                figures += _figures(label, sides["gateway"], sides["nginx"])
                notes.append(_absolute(label, sides["gateway"], sides["nginx"]))
    notes += [
        f"rendition of {len(body)} bytes ({query} of the small original); nginx has the same bytes in the page cache",
        f"wrk, 1 thread, {CONNECTIONS} connections, on core {client}; each server on core {server}, the other idle",
    ]
    if setting.cores < 2:
        notes.append("one core only: server and client share it")
    return Result(name="hit", title=title, figures=tuple(figures), notes=tuple(notes))


def _rendition(gate: gateway.Gateway) -> tuple[str, bytes]:
    """The query whose result is nearest to 20 kB, and that result."""
    best: tuple[int, str] = (10**9, "")
    for width in range(200, 460, 20):
        query = f"w={width}&q=80"
        sample = load.run(partial(load.ask_once, gate.address, gate.target("small.jpg", query)))
        if sample.status != 200:
            raise RuntimeError(f"{query} answered {sample.status}\n{gate.tail()}")
        best = min(best, (abs(sample.length - BYTES), query))
    query = best[1]
    return query, gate.fetch("small.jpg", query)


def _warm(gate: gateway.Gateway, targets: Sequence[str]) -> None:
    for _ in range(2):
        run = load.run(partial(load.closed_loop, gate.address, targets, 4))
        if len(run.good) != len(targets):
            raise RuntimeError(f"warming up answered {run.statuses}\n{gate.tail()}")


def _files(root: Path, body: bytes) -> list[str]:
    root.mkdir()
    names = [f"{number}.jpg" for number in range(DISTINCT)]
    for name in names:
        (root / name).write_bytes(body)
    return names


def _round(setting: Setting, address: load.Address, targets: Sequence[str], folder: Path, core: int) -> wrk.Run:
    seconds = setting.seconds(3.0, 1.0)
    run = wrk.run(address, targets, folder, host=gateway.HOST, connections=CONNECTIONS, seconds=seconds, core=core)
    if run.failed:
        raise RuntimeError(f"{run.failed} answers were no hits")
    return run


def _figures(label: str, ours: Sequence[wrk.Run], theirs: Sequence[wrk.Run]) -> list[Figure]:
    rate = ratios([run.rate for run in ours], [run.rate for run in theirs])
    return [
        Figure(label=f"{label}: requests a second", unit="x", samples=rate, goal=Goal("at least", 0.30)),
        Figure(label=f"{label}: p99 latency", unit="x", samples=ratios([r.p99 for r in ours], [r.p99 for r in theirs])),
    ]


def _absolute(label: str, ours: Sequence[wrk.Run], theirs: Sequence[wrk.Run]) -> str:
    told = (
        f"{name} {median([run.rate for run in runs]):.0f}/s of {median([run.size for run in runs]):.0f} bytes"
        for name, runs in (("gateway", ours), ("nginx", theirs))
    )
    return f"{label}: {', '.join(told)}"
