"""The whole list into a file, and a file into the list, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO

from countermark.identity.exchange import LONGEST_LINE, line_of, read
from countermark.ports import RevocationLog

BATCH = 5_000

Tell = Callable[[int], None]
"""Called after each batch with the count of entries so far."""


async def export(source: RevocationLog, file: BinaryIO, tell: Tell) -> int:
    """Every entry in order; how many. Raises StoreUnavailable or OSError."""
    count = 0
    page = await source.read("")
    while page.revocations:
        await asyncio.to_thread(file.write, b"".join(map(line_of, page.revocations)))
        count += len(page.revocations)
        tell(count)
        page = await source.read(page.cursor)
    return count


async def import_(source: RevocationLog, file: BinaryIO, tell: Tell, *, name: str, now: float, author: str = "") -> int:
    """Append a file's entries; how many. A stop half-way costs nothing: run it again, an entry may come twice.

    Raises StoreUnavailable, OSError, or ConfigurationInvalid at the first line that is wrong; whole batches before it stay.
    """
    count = 0
    entries = read(_lines(file), name=name, now=now, author=author)
    while batch := await asyncio.to_thread(lambda: list(islice(entries, BATCH))):
        await source.append(batch)
        count += len(batch)
        tell(count)
    return count


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Cut where they grow too long, so that a file without line ends costs no more memory than another."""
    while line := file.readline(LONGEST_LINE + 1):
        yield line
