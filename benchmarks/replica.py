"""One process with its local copy of a list of revocations, as a worker has it.

`python -m benchmarks.replica FOLDER ENTRIES CALLS` loads the copy, measures CALLS look-ups of each sort, writes one line of
JSON and stays until its standard input ends, so that a second process shares the file with it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from countermark.backends.revocations.replica import LocalRevocations
from countermark.identity.revocation import Handle, Kind, Revocation
from countermark.ports import Page

KINDS: tuple[Kind, ...] = ("grant", "session", "user")
NOW = 1_800_000_000
IN_SET = 1_000_000
PATIENCE = 900.0

_SPREAD = 0x9E3779B97F4A7C15
_PAGE = 10_000
_REQUEST: tuple[Kind, ...] = ("grant", "key", "jti", "session", "user", "client", "path", "path")


def value(number: int) -> str:
    """64 hexadecimal digits, another text each time that it is asked for."""
    return f"{number * _SPREAD & 2**64 - 1:016x}" * 4


def kind(number: int) -> Kind:
    """Of the entry of that number."""
    return KINDS[number % len(KINDS)]


class Synthetic:
    """A list that makes its entries when they are read: what it costs is not a store's work."""

    def __init__(self, entries: int) -> None:
        self._entries = entries

    async def append(self, revocations: Sequence[Revocation]) -> str:
        raise NotImplementedError

    async def read(self, after: str, limit: int = _PAGE) -> Page:
        start = int(after or 0)
        end = min(self._entries, start + limit)
        return Page(revocations=tuple(_entry(number) for number in range(start, end)), cursor=str(end))

    async def follow(self, after: str) -> AsyncIterator[Page]:
        while True:
            yield Page(revocations=(), cursor=after)
            await asyncio.sleep(1)


def _entry(number: int) -> Revocation:
    return Revocation(kind=kind(number), value=value(number), created=1.0, expires=NOW + number % 100_000)


def memory() -> dict[str, float]:
    """MB of this process by smaps_rollup: private and dirty (which nobody can share), and proportional."""
    fields = dict(line.split(maxsplit=1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return {name: int(fields[f"{name}:"].split()[0]) / 1024 for name in ("Private_Dirty", "Pss")}


def _microseconds(call: Callable[[tuple[Handle, ...]], object], given: Sequence[tuple[Handle, ...]]) -> float:
    start = time.perf_counter()
    for handles in given:
        call(handles)
    return (time.perf_counter() - start) / len(given) * 1e6


async def _look_ups(replica: LocalRevocations, entries: int, calls: int) -> dict[str, float]:
    def find(handles: tuple[Handle, ...]) -> object:
        return replica.find(handles, 0.0, NOW)

    step = max(1, entries // calls)
    there = [number * step % entries for number in range(calls)]
    absent = range(entries, entries + calls)
    hits = [(Handle(kind(number), value(number)),) for number in there]
    misses = [(Handle(kind(number), value(number)),) for number in absent]
    usual = [tuple(Handle(one, value(number)) for one in _REQUEST) for number in absent]
    full = [tuple(Handle(kind(place), value(number + place)) for place in range(8)) for number in absent]
    for number in range(0, entries, max(1, entries // 200_000)):  # the pages that a worker has touched after a while
        find((Handle(kind(number), value(number)),))
    found = {
        "hit": _microseconds(find, hits),
        "miss": _microseconds(find, misses),
        "usual": _microseconds(find, usual),
        "full": _microseconds(find, full),
    }
    if any(find(handles) is None for handles in hits) or any(find(handles) for handles in misses + usual + full):
        raise RuntimeError("a wrong answer")
    known = {value(number) for number in range(min(entries, IN_SET))}
    return {**found, "set": _microseconds(lambda handles: handles[0].value in known, misses)}


async def main(folder: Path, entries: int, calls: int) -> None:
    """Load, measure, tell."""
    gc.collect()
    before = memory()
    replica = LocalRevocations(Synthetic(entries), folder)
    start = time.perf_counter()
    await replica.start(patience=PATIENCE)
    told: dict[str, float] = {"ready": time.perf_counter() - start}
    if replica.stale:
        raise RuntimeError(replica.stale)
    gc.collect()
    told |= {name: size - before[name] for name, size in memory().items()}
    if calls:
        told |= await _look_ups(replica, entries, calls)
    print(json.dumps(told), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await replica.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
