"""A vendor takes so many items a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from countermark.identity.surrogate import located

EVERYTHING = ("/",)


def batches(items: Iterable[str], count: int) -> Iterator[tuple[str, ...]]:
    """The items without repetitions, in their order, at most `count` at once."""
    distinct = tuple(dict.fromkeys(items))
    for start in range(0, len(distinct), count):
        yield distinct[start : start + count]


def weighed(items: Iterable[str], weight: int) -> Iterator[tuple[str, ...]]:
    """The items without repetitions, in their order, at most `weight` bytes of JSON strings with commas at once."""
    batch: list[str] = []
    held = 0
    for item in dict.fromkeys(items):
        size = len(item.encode()) + len('"",')
        if batch and held + size > weight:
            yield tuple(batch)
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield tuple(batch)


def prefixes(tags: Sequence[str], urls: Sequence[str]) -> tuple[str, ...]:
    """Where a vendor without surrogate keys finds all that is meant: below these URLs, or anywhere."""
    return tuple(dict.fromkeys(urls)) if urls and all(map(located, tags)) else EVERYTHING
