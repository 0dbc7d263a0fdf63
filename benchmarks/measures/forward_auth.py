"""(k) Page views that each carry a fresh signature: what nginx's cache makes of them with the key from /verify."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial

from benchmarks import forwarding, gateway, load
from benchmarks.figures import Figure, Goal
from benchmarks.result import Result
from benchmarks.setting import Setting, tool

PICTURES = 20
VIEWS = 2000
CLIENTS = 8


def measure(setting: Setting) -> Result:
    """20 pictures over 2,000 views, every view with a signature of its own; then the same ones, tampered with."""
    title = f"{PICTURES} pictures over {VIEWS} page views with a fresh signature each, nginx's cache behind /verify"
    if not tool("nginx"):
        return Result(name="forward_auth", title=title, figures=(), absent=("nginx",))
    keys = setting.pictures.fresh("small", PICTURES)
    with (
        gateway.start(
            setting.place("gateway"), setting.pictures.folder, workers=1, forward_auth=forwarding.NGINX_ASKS
        ) as gate,
        forwarding.running(setting.place("nginx"), gate.address) as address,
        forwarding.running(setting.place("by-url"), gate.address, cache_key="$request_uri") as by_url,
    ):
        targets = views(gate, keys, VIEWS)
        shown = load.run(partial(load.closed_loop, address, targets, CLIENTS))
        renders = gate.count(gateway.RENDERS)
        polluted = load.run(partial(load.closed_loop, by_url, targets, CLIENTS))
        refused = load.run(partial(load.closed_loop, address, [tampered(target) for target in targets], CLIENTS))
    return Result(
        name="forward_auth",
        title=title,
        figures=(
            Figure(label="answered from nginx's cache", unit="", samples=(hits(shown),), goal=Goal("at least", 0.98)),
            Figure(label="the same, were the URL nginx's key", unit="", samples=(hits(polluted),)),
            Figure(label="views that showed no picture", unit="", samples=(missing(shown),), goal=Goal("exactly", 0)),
            Figure(label="renders", unit="", samples=(renders,), goal=Goal("exactly", PICTURES)),
            Figure(
                label="tampered views that were not refused with 403",
                unit="",
                samples=(sum(sample.status != 403 for sample in refused.samples),),
                goal=Goal("exactly", 0),
            ),
        ),
        notes=(
            f"{len(set(targets))} distinct URLs",
            f"{shown.rate:.0f} views a second, {CLIENTS} clients; client, nginx and one gateway worker share the cores",
        ),
    )


def views(gate: gateway.Gateway, keys: Sequence[str], count: int) -> list[str]:
    """So many signed targets of these pictures in a random order, no two alike: each expires at its own second."""
    chosen = [keys[number % len(keys)] for number in range(count)]
    random.Random(20).shuffle(chosen)
    start = int(time.time()) + 3600
    return [gate.target(key, "w=200&q=80", expires=start + second) for second, key in enumerate(chosen)]


def tampered(target: str) -> str:
    """The same, for another width than was signed."""
    return target.replace("w=200", "w=201")


def hits(run: load.Load) -> float:
    """The share of all views that nginx answered from its cache, with a picture."""
    kept = [sample for sample in run.good if load.header(sample, "X-Cache") in ("HIT", "REVALIDATED")]
    return len(kept) / len(run.samples)


def missing(run: load.Load) -> int:
    """How many views were not answered with 200."""
    return len(run.samples) - len(run.good)
