"""(d) The same uncached renders by other image servers, two processes each."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote, urlsplit

from benchmarks import gateway, load, nginx, origin, processes, thumbor
from benchmarks.bare import QUALITY, Bare
from benchmarks.figures import Figure, Goal, median, percentile, ratios
from benchmarks.pictures import SIZES, Size
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting, tool

# As many of each size, asked for in turn.
TOGETHER = "all sizes"

PROCESSES = 2
CLIENTS = 4
CROWD = 16
JOBS = {"large": 48, "medium": 160, "small": 480, TOGETHER: 120}
GOALS = {"thumbor": Goal("at least", 1.3)}


@dataclass(frozen=True, slots=True)
class Case:
    """Pictures of these sizes, asked for in turn by so many clients."""

    name: str
    sizes: tuple[Size, ...]
    clients: int

    @property
    def label(self) -> str:
        return self.name if self.clients == CLIENTS else f"{self.name}, {self.clients} at a time"


_ALONE = tuple(Case(size.name, (size,), CLIENTS) for size in SIZES)
_SMALLEST = _ALONE[-1]
CASES = (*_ALONE, Case(TOGETHER, SIZES, CLIENTS), replace(_SMALLEST, clients=CROWD), Case(TOGETHER, SIZES, CROWD))


@dataclass(frozen=True, slots=True)
class Server:
    """A peer: where it is, how a picture is asked of it, and its first process (0 where it is not ours)."""

    address: load.Address
    target: Callable[[str, Size], str]
    pid: int


@dataclass(frozen=True, slots=True)
class Run:
    """One round: good answers a second, the seconds of each, processor seconds, a result's length, how many failed."""

    rate: float
    each: tuple[float, ...]
    cpu: float
    length: int
    failed: int

    @property
    def processors(self) -> float:
        """How many it kept busy."""
        return self.cpu / len(self.each) * self.rate


def measure(setting: Setting) -> Result:
    """thumbor, nginx image_filter, and the peers that the command line names."""
    figures: list[Figure] = []
    notes = [
        f"originals: {setting.pictures.story}",
        f"{PROCESSES} processes each, files on local disk, quality {QUALITY}, nothing is stored",
        f"{CLIENTS} requests at a time unless it says otherwise",
        "all servers are up during all rounds, one works at a time; the client shares the cores with each alike",
        "thumbor (Pillow) and image_filter (libgd) check no signature here",
        "connections are new in each round; where one of a server's processes takes them all, the other has nothing to do",
    ]
    with contextlib.ExitStack() as stack:
        servers, absent = _start(setting, stack)
        bare = stack.enter_context(Bare())
        for case in CASES:
            setting.say(f"  {case.label}: {', '.join(servers)}")
            figures += _compare(setting, servers, bare, case, notes)
    return Result(
        name="peers",
        title="uncached render, gateway / peer (throughput: higher is better for us)",
        figures=tuple(figures),
        notes=tuple(notes),
        absent=tuple(absent),
    )


def _start(setting: Setting, stack: contextlib.ExitStack) -> tuple[dict[str, Server], list[str]]:
    root = setting.pictures.folder
    # Without its disk cache: thumbor stores no results either.
    gate = stack.enter_context(
        gateway.start(setting.place("gateway"), root, workers=PROCESSES, render=gateway.PATIENT, disk=False)
    )
    servers = {"gateway": Server(gate.address, lambda key, size: _ours(gate, key, size), gate.process.pid)}
    absent = []
    program = thumbor.installed(setting.say)
    if program:
        running = thumbor.running(program, setting.place("thumbor"), root, workers=PROCESSES, quality=QUALITY)
        address, pid = stack.enter_context(running)
        servers["thumbor"] = Server(address, lambda key, size: f"/unsafe/{size.width}x0/{key}", pid)
    else:
        absent.append(f"thumbor {thumbor.VERSION}: could not be installed")
    if tool("nginx") and nginx.IMAGE_FILTER.exists():
        locations = nginx.image_filter_locations([size.width for size in SIZES], QUALITY)
        folder = setting.place("nginx")
        peer = stack.enter_context(
            nginx.running(folder, root, workers=PROCESSES, locations=locations, modules=[nginx.IMAGE_FILTER])
        )
        servers["nginx image_filter"] = Server(peer.address, lambda key, size: f"/{size.width}/{key}", peer.pid)
    else:
        absent.append("nginx image_filter: Debian's nginx and libnginx-mod-http-image-filter are not installed")
    if setting.peers:
        remote = stack.enter_context(origin.running(root, setting.place("origin") / "log"))
        servers |= {name: _named(template, remote.url) for name, template in setting.peers.items()}
    return servers, absent + _silent(setting, servers)


def _ours(gate: gateway.Gateway, key: str, size: Size) -> str:
    return gate.target(key, f"w={size.width}&q={QUALITY}")


def _named(template: str, source: str) -> Server:
    parts = urlsplit(template)
    path = template.partition(parts.netloc)[2]

    def target(key: str, size: Size) -> str:
        fields = {"width": size.width, "quality": QUALITY, "key": key, "source": quote(source + key, safe="")}
        return path.format(**fields)

    return Server((parts.hostname or "127.0.0.1", parts.port or 80), target, 0)


def _silent(setting: Setting, servers: dict[str, Server]) -> list[str]:
    """Take out the peers that do not answer one picture with 200."""
    gone = []
    for name in [name for name in servers if name != "gateway"]:
        server = servers[name]
        target = server.target(setting.pictures.fresh("small", 1)[0], SIZES[-1])
        sample = load.run(partial(load.ask_once, server.address, target))
        if sample.status != 200:
            gone.append(f"{name}: answered {sample.status or 'nothing'} instead of a picture")
            del servers[name]
    return gone


def _compare(setting: Setting, servers: dict[str, Server], bare: Bare, case: Case, notes: list[str]) -> list[Figure]:
    jobs = max(9, JOBS[case.name] // (6 if setting.quick else 1))
    asked = list(itertools.islice(itertools.cycle(case.sizes), jobs))
    sides = {name: partial(_round, setting, server, asked, case.clients) for name, server in servers.items()}
    sides["bare libvips"] = partial(_floor, setting, bare, asked, case.clients)
    for side in sides.values():
        side()  # warms processes and connections
    runs = alternate(sides, setting.rounds(7))
    ours = runs.pop("gateway")
    absolute = ", ".join(_absolute(name, took) for name, took in {"gateway": ours, **runs}.items())
    notes.append(f"{case.label}: {absolute}")
    notes += [_ceiling(case.label, name, runs["bare libvips"], runs[name]) for name in GOALS if name in runs]
    return [figure for name, theirs in runs.items() for figure in _figures(case.label, name, ours, theirs)]


def _figures(case: str, name: str, ours: list[Run], theirs: list[Run]) -> list[Figure]:
    def figure(what: str, value: Callable[[Run], float], goal: Goal | None = None) -> Figure:
        samples = ratios([value(run) for run in ours], [value(run) for run in theirs])
        return Figure(label=f"{case}, gateway / {name}: {what}", unit="x", samples=samples, goal=goal)

    return [
        figure("throughput", lambda run: run.rate, GOALS.get(name)),
        figure("p50 latency", lambda run: percentile(run.each, 0.5)),
        figure("p99 latency", lambda run: percentile(run.each, 0.99)),
        figure("CPU a picture", lambda run: run.cpu / len(run.each)),
    ]


def _round(setting: Setting, server: Server, asked: list[Size], clients: int) -> Run:
    targets = [server.target(setting.pictures.fresh(size.name, 1)[0], size) for size in asked]
    before = processes.cpu_seconds(processes.tree(server.pid)) if server.pid else 0.0
    took = load.run(partial(load.closed_loop, server.address, targets, clients))
    used = processes.cpu_seconds(processes.tree(server.pid)) - before if server.pid else 0.0
    if not took.good:
        raise RuntimeError(f"a server gave no picture at all: {took.statuses}")
    each = tuple(sample.seconds for sample in took.good)
    return Run(took.rate, each, used, took.good[-1].length, len(asked) - len(each))


def _floor(setting: Setting, bare: Bare, asked: list[Size], clients: int) -> Run:
    """What libvips alone takes, without any server, on as many threads as there are cores."""
    files = [(setting.pictures.file(size.name), size.width) for size in asked]
    run = bare.run(files, clients=clients, threads=setting.cores)
    return Run(run.rate, run.each, run.cpu, run.length, 0)


def _ceiling(case: str, name: str, bare: list[Run], theirs: list[Run]) -> str:
    ceiling = median(ratios([run.rate for run in bare], [run.rate for run in theirs]))
    return f"{case}: bare libvips, without any gateway, has {ceiling:.2f} of {name}'s throughput"


def _absolute(name: str, runs: list[Run]) -> str:
    failed, busy = sum(run.failed for run in runs), median([run.processors for run in runs])
    rate, size = median([run.rate for run in runs]), runs[-1].length / 1000
    return f"{name} {rate:.1f}/s ({size:.0f} kB each, {failed} failed, {busy:.2f} processors)"
