"""From the big file and the list to a copy that is up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from countermark.backends.revocations.bulk import Bulk, Unreadable, identity_of, opened
from countermark.backends.revocations.compaction import begin
from countermark.backends.revocations.copy import Copy
from countermark.backends.revocations.merge import REVOKED
from countermark.backends.revocations.terms import terms_of
from countermark.identity.revocation import Revocation
from countermark.ports import Page, RevocationLog

log = structlog.get_logger("countermark.revocations")

_AT_ONCE = 500
_READ_TIMEOUT = 10.0
_SPOOL_LIMIT = 16_000_000
_BUILDING_PAUSE = 0.2

Limit = Callable[[], int]


async def load(source: RevocationLog, folder: Path, *, limit: Limit) -> Copy:
    """A copy with all that the list holds, and at most about `limit()` entries of it in memory.

    More than these are put into the big file first, by this process or by whichever is at it already. Raises
    StoreUnavailable, TimeoutError, or OSError where the folder cannot be used.
    """
    while True:
        copy = await asyncio.to_thread(_open, folder)
        try:
            if await catch_up(source, copy, limit=limit):
                return copy
            if not await _build(source, copy, folder):
                await asyncio.sleep(_BUILDING_PAUSE)
        except BaseException:
            copy.close()
            raise
        copy.close()


async def catch_up(source: RevocationLog, copy: Copy, *, limit: Limit) -> bool:
    """Read the list to its end into the copy's memory; False where that would be more than `limit()` entries."""
    while len(copy.newest.entries) <= limit():
        page = await _read(source, copy.cursor)
        if not page.revocations:
            return True
        for some in in_small(page):
            copy.add(some)
            await asyncio.sleep(0)
        copy.cursor = page.cursor
    return False


def in_small(page: Page) -> Iterator[tuple[Revocation, ...]]:
    """A page in pieces of about a millisecond, between which requests have their turn."""
    return (page.revocations[start : start + _AT_ONCE] for start in range(0, len(page.revocations), _AT_ONCE))


async def _build(source: RevocationLog, copy: Copy, folder: Path) -> bool:
    """A new big file out of the copy and what the list holds behind it; False where another process is at that."""
    compaction = begin(folder, copy.identity)
    if compaction is None:
        return False
    with compaction:
        for records in copy.newest.records():
            compaction.spool(records)
        while compaction.spooled < _SPOOL_LIMIT:
            page = await _read(source, copy.cursor)
            if not page.revocations:
                break
            for some in in_small(page):
                copy.note(some)
                for one in some:
                    compaction.spool((copy.number(one.kind, one.value), terms_of(one)))
                await asyncio.sleep(0)
            copy.cursor = page.cursor
        await compaction.merge(copy.head, fresh=copy.bulk is None)
    return True


async def _read(source: RevocationLog, after: str) -> Page:
    async with asyncio.timeout(_READ_TIMEOUT):
        return await source.read(after)


def _open(folder: Path) -> Copy:
    path = folder / REVOKED
    identity = identity_of(path)
    bulk: Bulk | None = None
    try:
        bulk = opened(path)
        identity = bulk.identity
    except FileNotFoundError:
        pass
    except Unreadable as error:
        log.warning("local copy of revocations refused, it is built anew from the store", reason=str(error))
    return Copy(bulk, identity)
