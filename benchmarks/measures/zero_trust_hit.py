"""(z) What all checks together cost on a cached hit, and how often they ask a Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from redis.exceptions import RedisError

from benchmarks import gateway, load, processes, wrk, zero_trust
from benchmarks.figures import Figure, Goal, median, ratios
from benchmarks.redis_server import RedisServer, installed
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting, tool

CONNECTIONS = 16
ASKED = 1000
QUERY = "w=320&q=80"
PLAIN, CHECKED = "without checks", "with all checks"
UNWATCHED = {"watch": {"refusals": 0, "failures": 0}}

Round = tuple[wrk.Run, float]


def measure(setting: Setting) -> Result:
    """One URL, from memory; two gateways of one worker each in turn."""
    missing = [name for name in ("wrk", "taskset") if not tool(name)]
    if missing:
        return _result([], [], missing)
    embedded = _embedded(setting)
    checked, plain = embedded[CHECKED], embedded[PLAIN]
    figures = [
        Figure(
            label="embedded store: time a hit, with / without",
            unit="x",
            samples=ratios([run.rate for run, _ in plain], [run.rate for run, _ in checked]),
            goal=Goal("at most", 1.25),
        ),
        Figure(
            label="embedded store: processor time a hit, with / without",
            unit="x",
            samples=ratios([cpu for _, cpu in checked], [cpu for _, cpu in plain]),
        ),
        Figure(
            label="embedded store: p99 latency, with / without",
            unit="x",
            samples=ratios([run.p99 for run, _ in checked], [run.p99 for run, _ in plain]),
        ),
    ]
    notes = [_absolute(name, rounds) for name, rounds in embedded.items()]
    notes.append(
        "without: neither policy, clients, session, hop, ceilings nor watch, and an empty list of revocations; both are "
        "sent the same requests but for the signed facts"
    )
    if not installed():
        return _result(figures, notes, ["redis-server"])
    commands, others = _commands(setting)
    figures.append(
        Figure(label="Redis: commands a hit", unit="", samples=(commands,), goal=Goal("exactly", 1), worst=True)
    )
    notes.append(f"Redis: {ASKED} hits, one after the other; {others:.1f} further commands a second in the background")
    return _result(figures, notes, [])


def _result(figures: Sequence[Figure], notes: Sequence[str], absent: Sequence[str]) -> Result:
    title = "a cached hit with all checks on who, from where, how often and how long / without them"
    return Result(name="zero_trust_hit", title=title, figures=tuple(figures), notes=tuple(notes), absent=tuple(absent))


def _embedded(setting: Setting) -> dict[str, list[Round]]:
    with ExitStack() as stack:
        plain = stack.enter_context(
            gateway.start(setting.place("plain"), setting.pictures.folder, workers=1, cores=[0], sections=UNWATCHED)
        )
        folder = setting.place("checked")
        checked = stack.enter_context(_checked(setting, folder, f"sqlite:{folder}/store.db"))
        sides = {
            PLAIN: (plain, plain.target("small.jpg", QUERY)),
            CHECKED: (checked, zero_trust.target(checked, "small.jpg", QUERY)),
        }
        for gate, target in sides.values():
            _warm(gate, target)
        rounds = {
            name: partial(_round, setting, gate, target, setting.place("wrk")) for name, (gate, target) in sides.items()
        }
        return alternate(rounds, setting.rounds(25, 4))


def _checked(setting: Setting, folder: Path, store: str) -> gateway.Gateway:
    zero_trust.furnish(folder, store)
    return gateway.start(
        folder,
        setting.pictures.folder,
        workers=1,
        cores=[0],
        hops=zero_trust.HOPS,
        sections=zero_trust.sections(store),
        site=zero_trust.SITE,
    )


def _warm(gate: gateway.Gateway, target: str) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in zero_trust.FIELDS.items())
    for _ in range(3):
        sample = load.run(partial(load.ask_once, gate.address, target, extra=fields))
        if sample.status != 200:
            raise RuntimeError(f"{sample.status}: {gate.tail()}")


def _round(setting: Setting, gate: gateway.Gateway, target: str, folder: Path) -> Round:
    """A run, and the worker's processor time for each of its requests."""
    before = processes.cpu_seconds(gate.workers)
    seconds = setting.seconds(1.0, 1.0)
    run = wrk.run(
        gate.address,
        [target],
        folder,
        host=gateway.HOST,
        connections=CONNECTIONS,
        seconds=seconds,
        core=setting.cores - 1,
        fields=zero_trust.FIELDS,
    )
    if run.failed:
        raise RuntimeError(f"{run.failed} answers were no hits\n{gate.tail()}")
    return run, (processes.cpu_seconds(gate.workers) - before) / (run.rate * seconds)


def _absolute(name: str, rounds: Sequence[Round]) -> str:
    rate, cpu = median([run.rate for run, _ in rounds]), median([cpu for _, cpu in rounds])
    size = median([run.size for run, _ in rounds])
    return f"{name}: {rate:.0f}/s, {cpu * 1e6:.0f} µs of processor time each, {size:.0f} bytes"


def _commands(setting: Setting) -> tuple[float, float]:
    """Commands with keys of rates or uses for each request, and all others a second."""
    folder = setting.place("redis")
    with RedisServer(folder / "redis") as server:
        store = f"redis://127.0.0.1:{server.port}"
        with _checked(setting, folder, store) as gate:
            target = zero_trust.target(gate, "small.jpg", QUERY)
            _warm(gate, target)
            fields = "".join(f"{name}: {value}\r\n" for name, value in zero_trust.FIELDS.items())
            ask = partial(load.closed_loop, gate.address, [target] * ASKED, 1, extra=fields)
            run, seen = _monitored(server, partial(load.run, ask))
    if len(run.good) != ASKED:
        raise RuntimeError(f"answers were {run.statuses}")
    ours = sum(1 for command in seen if "{rates}" in command or "{uses" in command)
    return ours / ASKED, (len(seen) - ours) / run.seconds


def _monitored(server: RedisServer, work: Callable[[], load.Load]) -> tuple[load.Load, list[str]]:
    """What clients sent to the server while `work` ran, as its MONITOR tells."""
    seen: list[str] = []
    done = threading.Event()

    with server.client.monitor() as monitor:

        def listen() -> None:
            try:
                for told in monitor.listen():
                    if "the end" in told["command"]:
                        break
                    if told["client_type"] != "lua":
                        seen.append(told["command"])
            except (RedisError, OSError):
                return
            finally:
                done.set()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        run = work()
        server.client.echo("the end")
        if not done.wait(10):
            raise RuntimeError("MONITOR did not come to its end")
    return run, seen
