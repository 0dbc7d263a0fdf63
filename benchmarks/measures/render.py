"""(a) An uncached render through the gateway against bare threads: of libvips, and of the gateway's own engine."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import gateway, load, origin, processes
from benchmarks.bare import QUALITY, Bare, BareRun
from benchmarks.figures import Figure, Goal, median, percentile, ratios
from benchmarks.pictures import SIZES, Size
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting

CLIENTS = (1, 4, 16)
WORKERS = 2
JOBS = {"large": 48, "medium": 160, "small": 400}
GOALS = {
    ("large", "latency", 1): Goal("at most", 1.10),
    ("large", "throughput", 4): Goal("at least", 1.0),
    ("small", "latency", 1): Goal("at most", 1.5),
    ("small", "throughput", 4): Goal("at least", 0.8),
}


@dataclass(frozen=True, slots=True)
class GatewayRun:
    """One round through the gateway."""

    load: load.Load
    cpu: float


def measure(setting: Setting) -> Result:
    """All sizes at all concurrencies from local files, and the large one once over HTTP."""
    pictures = setting.pictures
    figures: list[Figure] = []
    notes = [
        f"originals: {pictures.story}",
        f"{WORKERS} gateway workers with caches on, every request another object name; quality {QUALITY}",
        f"bare: one process, {setting.cores} threads, VIPS_CONCURRENCY=1, reads the file too",
        "bare libvips reads and writes JPEG by itself; the gateway does so by libjpeg-turbo 3, and has libvips do the rest",
        "bare engine is the gateway's own pipeline on those threads, without cache, HTTP, signature or wall",
        "the gateway sheds nothing in these rounds (queue_delay raised), as bare libvips sheds nothing either",
        "the load client shares the cores with the gateway; bare libvips has no client to pay for",
        "memory is the peak PSS of all processes together in a round of its own, at 4 clients",
    ]
    with (
        origin.running(pictures.folder, setting.place("origin") / "log") as remote,
        gateway.start(
            setting.place("gateway"), pictures.folder, workers=WORKERS, remote=remote.url, render=gateway.PATIENT
        ) as gate,
        Bare() as bare,
        Bare("engine") as engine,
    ):
        alone = {"bare libvips": bare, "bare engine": engine}
        for size, clients in itertools.product(SIZES, CLIENTS):
            setting.say(f"  {size.name}, {clients} at a time")
            figures += _compare(setting, gate, alone, size, clients, notes)
        setting.say("  large over HTTP, 4 at a time")
        figures += _compare(setting, gate, alone, SIZES[0], 4, notes, site="remote")
        for size in SIZES:
            figures += _memory(setting, gate, bare, size)
    return Result(name="render", title="uncached render, gateway / bare", figures=tuple(figures), notes=tuple(notes))


def _compare(
    setting: Setting,
    gate: gateway.Gateway,
    alone: Mapping[str, Bare],
    size: Size,
    clients: int,
    notes: list[str],
    site: str = "bench",
) -> list[Figure]:
    jobs = max(8, JOBS[size.name] // (4 if setting.quick else 1))
    through = partial(_through, setting, gate, size, clients, jobs, site)
    through()  # warms children and connections
    files = [(setting.pictures.file(size.name), size.width)] * jobs
    ours: list[GatewayRun] = []
    theirs: dict[str, list[BareRun]] = {name: [] for name in alone}

    def run(name: str) -> None:
        theirs[name].append(alone[name].run(files, clients=clients, threads=setting.cores))

    sides = {name: partial(run, name) for name in alone}
    alternate({**sides, "gateway": lambda: ours.append(through())}, setting.rounds(7))
    label = f"{size.name}{' over http' if site == 'remote' else ''}, {clients} at a time"
    notes.append(_absolute(label, ours, theirs, jobs))
    goals = {"bare libvips": site == "bench"}
    return [
        figure
        for name, runs in theirs.items()
        for figure in _figures(f"{label}, / {name}", size, clients, ours, runs, jobs, with_goals=goals.get(name, False))
    ]


def _through(setting: Setting, gate: gateway.Gateway, size: Size, clients: int, jobs: int, site: str) -> GatewayRun:
    keys = setting.pictures.fresh(size.name, jobs)
    targets = [gate.target(key, f"w={size.width}&q={QUALITY}", site=site) for key in keys]
    cpu = processes.cpu_seconds(gate.pids)
    run = load.run(lambda: load.closed_loop(gate.address, targets, clients))
    if len(run.good) < jobs:
        raise RuntimeError(f"only {len(run.good)} of {jobs} renders succeeded: {run.statuses}\n{gate.tail()}")
    return GatewayRun(run, processes.cpu_seconds(gate.pids) - cpu)


def _figures(
    label: str,
    size: Size,
    clients: int,
    ours: Sequence[GatewayRun],
    theirs: Sequence[BareRun],
    jobs: int,
    *,
    with_goals: bool,
) -> list[Figure]:
    def figure(what: str, name: str, a: list[float], b: list[float]) -> Figure:
        goal = GOALS.get((size.name, what, clients)) if with_goals else None
        return Figure(label=f"{label}: {name}", unit="x", samples=ratios(a, b), goal=goal)

    def bare_latency(share: float) -> list[float]:
        return [percentile(run.each, share) for run in theirs]

    return [
        figure("latency", "p50 latency", [run.load.latency(0.5) for run in ours], bare_latency(0.5)),
        figure("tail", "p99 latency", [run.load.latency(0.99) for run in ours], bare_latency(0.99)),
        figure("throughput", "throughput", [run.load.rate for run in ours], [run.rate for run in theirs]),
        figure("cpu", "CPU a picture", [run.cpu / jobs for run in ours], [run.cpu / jobs for run in theirs]),
    ]


def _absolute(label: str, ours: Sequence[GatewayRun], theirs: Mapping[str, Sequence[BareRun]], jobs: int) -> str:
    """The absolute figures behind the ratios, for orientation; they are this machine's only."""
    rates = {"gateway": [run.load.rate for run in ours]}
    rates |= {name: [run.rate for run in runs] for name, runs in theirs.items()}
    latencies = {"gateway": [run.load.latency(0.5) for run in ours]}
    latencies |= {name: [percentile(run.each, 0.5) for run in runs] for name, runs in theirs.items()}
    sides = [f"{name} {median(rates[name]):.1f}/s, p50 {median(latencies[name]) * 1000:.1f} ms" for name in rates]
    client = sum(r.load.client_cpu for r in ours) / sum(r.load.seconds for r in ours)
    return f"{label}: {'; '.join(sides)}; {jobs} pictures a round; the client used {client:.0%} of a core"


def _memory(setting: Setting, gate: gateway.Gateway, bare: Bare, size: Size) -> list[Figure]:
    jobs = max(8, JOBS[size.name] // 4)
    with processes.MemoryWatch(gate.process.pid) as watch:
        _through(setting, gate, size, 4, jobs, "bench")
    files = [(setting.pictures.file(size.name), size.width)] * jobs
    alone = bare.run(files, clients=4, threads=setting.cores, watch=True)
    count = len(gate.pids)
    return [
        Figure(label=f"{size.name}: peak memory of {count} gateway processes", unit="MB", samples=(watch.peak / 1e6,)),
        Figure(
            label=f"{size.name}: of that, grown during the round", unit="MB", samples=((watch.peak - watch.base) / 1e6,)
        ),
        Figure(label=f"{size.name}: peak memory of bare libvips", unit="MB", samples=(alone.peak / 1e6,)),
    ]
