"""(d) The same uncached renders by other image servers, two processes each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlsplit

from benchmarks import gateway, load, nginx, origin, processes, thumbor
from benchmarks.bare import QUALITY
from benchmarks.figures import Figure, Goal, median, ratios
from benchmarks.pictures import SIZES, Size
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting, tool

PROCESSES = 2
CLIENTS = 4
JOBS = {"large": 48, "medium": 120, "small": 240}
GOALS = {"thumbor": Goal("at least", 1.3)}


@dataclass(frozen=True, slots=True)
class Server:
    """A peer: where it is, how a picture is asked of it, and its first process (0 where it is not ours)."""

    address: load.Address
    target: Callable[[str, Size], str]
    pid: int


@dataclass(frozen=True, slots=True)
class Run:
    """One round."""

    load: load.Load
    cpu: float


def measure(setting: Setting) -> Result:
    """thumbor, nginx image_filter, and the peers that the command line names."""
    figures: list[Figure] = []
    notes = [
        f"originals: {setting.pictures.story}",
        f"{PROCESSES} processes each, files on local disk, {CLIENTS} at a time, quality {QUALITY}, no caching anywhere",
        "all servers are up during all rounds, one works at a time; the client shares the cores with each of them alike",
        "thumbor and image_filter check no signature here and do not convert colours; thumbor resizes with Pillow, nginx with libgd",
    ]
    with contextlib.ExitStack() as stack:
        servers, absent = _start(setting, stack)
        for size in SIZES:
            setting.say(f"  {size.name}: {', '.join(servers)}")
            figures += _compare(setting, servers, size, notes)
    return Result(
        name="peers",
        title="uncached render, gateway / peer (throughput: higher is better for us)",
        figures=tuple(figures),
        notes=tuple(notes),
        absent=tuple(absent),
    )


def _start(setting: Setting, stack: contextlib.ExitStack) -> tuple[dict[str, Server], list[str]]:
    root = setting.pictures.folder
    gate = stack.enter_context(gateway.start(setting.place("gateway"), root, workers=PROCESSES, render=gateway.PATIENT))
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


def _compare(setting: Setting, servers: dict[str, Server], size: Size, notes: list[str]) -> list[Figure]:
    jobs = max(8, JOBS[size.name] // (6 if setting.quick else 1))
    sides = {name: partial(_round, setting, server, size, jobs) for name, server in servers.items()}
    runs = alternate(sides, setting.rounds(5))
    ours = runs.pop("gateway")
    notes.append(f"{size.name}: " + ", ".join(_absolute(name, took) for name, took in {"gateway": ours, **runs}.items()))
    figures = []
    for name, theirs in runs.items():
        label = f"{size.name}, gateway / {name}"
        rate = ratios([run.load.rate for run in ours], [run.load.rate for run in theirs])
        figures.append(Figure(label=f"{label}: throughput", unit="x", samples=rate, goal=GOALS.get(name)))
        for word, share in (("p50", 0.5), ("p99", 0.99)):
            late = ratios([run.load.latency(share) for run in ours], [run.load.latency(share) for run in theirs])
            figures.append(Figure(label=f"{label}: {word} latency", unit="x", samples=late))
        cpu = ratios([run.cpu for run in ours], [run.cpu for run in theirs])
        figures.append(Figure(label=f"{label}: CPU a picture", unit="x", samples=cpu))
    return figures


def _round(setting: Setting, server: Server, size: Size, jobs: int) -> Run:
    targets = [server.target(key, size) for key in setting.pictures.fresh(size.name, jobs)]
    before = processes.cpu_seconds(processes.tree(server.pid)) if server.pid else 0.0
    took = load.run(partial(load.closed_loop, server.address, targets, CLIENTS))
    used = processes.cpu_seconds(processes.tree(server.pid)) - before if server.pid else 0.0
    return Run(took, used)


def _absolute(name: str, runs: list[Run]) -> str:
    good = runs[-1].load.good
    size = f"{good[-1].length / 1000:.0f} kB" if good else "nothing"
    failed = sum(len(run.load.samples) - len(run.load.good) for run in runs)
    return f"{name} {median([run.load.rate for run in runs]):.1f}/s ({size} each, {failed} failed)"
