"""The local copy of 10 million revocations: start, memory and look-ups, against a Python set of a million."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import processes
from benchmarks.figures import Figure, Goal, ratios
from benchmarks.replica import kind, value
from benchmarks.result import Result
from benchmarks.setting import Setting
from countermark.backends.revocations.bulk import PARTS, Head, write
from countermark.backends.revocations.merge import REVOKED
from countermark.backends.revocations.replica import NEWEST
from countermark.backends.revocations.terms import numbering

ENTRIES = 10_000_000
QUICK = 300_000
FULL = 100_000_000
CALLS = 50_000
EVER = 2**64 - 1

KEY = bytes(range(32))


def measure(setting: Setting) -> Result:
    """Built once through the list; then fresh processes start beside one that has the file already."""
    entries = QUICK if setting.quick else ENTRIES
    folder = setting.place("revocations")
    setting.say(f"  building {entries} entries")
    with _process(folder, entries, 0) as built:
        build, grown = built["ready"], built["Private_Dirty"]
    size = (folder / REVOKED).stat().st_size
    figures = _figures(_rounds(setting, folder, entries), f"{entries / 1e6:g} million")
    setting.say("  merging")
    merged = _merge(folder, entries)
    notes = [
        f"built from an empty folder in {build:.0f} s, of which a part is making the list; its process kept {grown:.0f} MB; "
        f"file of {size / 1e6:.0f} MB, {size / entries:.1f} octets an entry; "
        f"{2 * NEWEST} newer entries were merged into it in {merged:.1f} s, by a niced process of its own",
        f"start: to all of the list known, with {NEWEST} entries behind the file; the file is read whole and its checksum "
        "compared; it is in the page cache",
        "memory: what the copy adds to a process, beside another one that has the same file; private is Private_Dirty of "
        "smaps_rollup, and the newest entries are in it; proportional is from before the first look-up",
        "look-up: one handle of 64 characters; set: `value in set` of one million of the same texts, the shortest that "
        "Python could do for one process",
        "request: eight handles that are not revoked; usual: three of them of kinds that the list has, the others are "
        "never looked up; full: all eight are looked up",
    ]
    if setting.full:
        setting.say(f"  writing {FULL} entries")
        large = setting.place("revocations")
        _fill(large, FULL)
        figures += _figures(_rounds(setting, large, FULL), f"{FULL / 1e6:g} million")
        notes.append(
            f"{FULL / 1e6:g} million: the file was filled with evenly spread numbers beside those entries that are looked up; "
            f"{(large / REVOKED).stat().st_size / 1e6:.0f} MB"
        )
    return Result(name="revocations", title="the local copy of revocations", figures=tuple(figures), notes=tuple(notes))


def _rounds(setting: Setting, folder: Path, entries: int) -> list[dict[str, float]]:
    told: list[dict[str, float]] = []
    with _process(folder, entries, CALLS):
        for number in range(setting.rounds(5)):
            setting.say(f"  start {number + 1} with {entries}")
            with _process(folder, entries + NEWEST, CALLS) as one:
                told.append(one)
    return told


def _figures(told: list[dict[str, float]], size: str) -> list[Figure]:
    def samples(name: str) -> tuple[float, ...]:
        return tuple(one[name] for one in told)

    within = Goal("at most", 5)
    return [
        Figure(label=f"{size}: start to ready", unit="s", samples=samples("ready"), goal=within, worst=True),
        Figure(
            label=f"{size}: private memory",
            unit="MB",
            samples=samples("Private_Dirty"),
            goal=Goal("at most", 10),
            worst=True,
        ),
        Figure(label=f"{size}: proportional memory", unit="MB", samples=samples("Pss")),
        Figure(label=f"{size}: look-up, hit", unit="µs", samples=samples("hit"), goal=within),
        Figure(label=f"{size}: look-up, miss", unit="µs", samples=samples("miss"), goal=within),
        Figure(label=f"{size}: look-up, hit / set", unit="x", samples=ratios(samples("hit"), samples("set"))),
        Figure(label=f"{size}: look-up, miss / set", unit="x", samples=ratios(samples("miss"), samples("set"))),
        Figure(label=f"{size}: request, usual", unit="µs", samples=samples("usual")),
        Figure(label=f"{size}: request, full", unit="µs", samples=samples("full")),
    ]


def _merge(folder: Path, entries: int) -> float:
    """Seconds from a start with more than fits until the new file is there, without reading what came later."""
    with _process(folder, entries + 2 * NEWEST + 1, 0) as told:
        return told["ready"]


def _fill(folder: Path, entries: int) -> None:
    """A file as large as one of that many entries: even numbers, and those entries that the look-ups ask for."""
    number, apart = numbering(KEY), max(1, entries // CALLS)
    asked = {number(kind(place), value(place)) for place in (index * apart % entries for index in range(CALLS))}
    of_part: list[list[int]] = [[] for _ in range(PARTS)]
    for one in asked:
        of_part[one >> 56].append(one)
    step = PARTS * 2**56 // (entries - len(asked))

    def parts() -> Iterator[array[int]]:
        for part, known in enumerate(of_part):
            rows = sorted([*range(part << 56, (part + 1) << 56, step), *sorted(known)])
            flat = array("Q", bytes(16 * len(rows)))
            flat[::2] = array("Q", rows)
            flat[1::2] = array("Q", [EVER]) * len(rows)
            yield flat

    head = Head(key=KEY, kinds=frozenset({"grant", "session", "user"}), cursor=str(entries))
    with (folder / REVOKED).open("wb") as file:
        write(file, head, parts(), about=entries)


@contextmanager
def _process(folder: Path, entries: int, calls: int) -> Iterator[dict[str, float]]:
    """What a fresh process tells; it lives until the block ends. Raises RuntimeError where it breaks."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.replica", str(folder), str(entries), str(calls)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the process with the copy ended without a word")
        yield json.loads(line)
    finally:
        processes.end(process)
