"""Uses: what every store of used credentials promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from countermark.backends.uses import SqliteUses
from countermark.core.errors import StoreUnavailable, Used

NOW = 1_700_000_000
LATER = NOW + 60


@pytest.fixture
async def uses(tmp_path: Path) -> AsyncGenerator[SqliteUses, None]:
    store = SqliteUses(str(tmp_path / "state" / "uses.db"), wall_clock=lambda: NOW)
    yield store
    await store.close()


async def test_a_use_is_taken_once(uses: SqliteUses) -> None:
    """The second claim is refused, another id is not."""
    await uses.claim("a", LATER)
    with pytest.raises(Used):
        await uses.claim("a", LATER)
    await uses.claim("b", LATER)


async def test_a_use_that_was_given_back_can_be_taken(uses: SqliteUses) -> None:
    """A transfer that failed costs nothing."""
    await (await uses.claim("a", LATER)).release()
    await uses.claim("a", LATER)
    with pytest.raises(Used):
        await uses.claim("a", LATER)


async def test_of_many_who_come_at_once_one_gets_it(uses: SqliteUses, tmp_path: Path) -> None:
    """Also when they come through several workers."""
    other = SqliteUses(str(tmp_path / "state" / "uses.db"), wall_clock=lambda: NOW)
    claims = [store.claim("a", LATER) for store in (uses, other) for _ in range(10)]
    results = await asyncio.gather(*claims, return_exceptions=True)
    await other.close()
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, Used) for result in results) == 19


async def test_a_use_survives_a_restart_and_ends_with_its_time(tmp_path: Path) -> None:
    """Kept in the file; forgotten when no clock that is a little behind could still take its credential."""
    file, now = str(tmp_path / "uses.db"), [NOW]
    first = SqliteUses(file, wall_clock=lambda: now[0])
    await first.claim("a", LATER)
    await first.close()
    second = SqliteUses(file, wall_clock=lambda: now[0])
    with pytest.raises(Used):
        await second.claim("a", LATER)
    now[0] = LATER + 3601
    await second.claim("a", LATER)
    await second.close()


async def test_a_store_that_cannot_be_asked_takes_nothing(tmp_path: Path) -> None:
    """It fails closed, and the public is not told why."""
    (tmp_path / "file").write_text("no database, and far too long to be an empty one")
    broken = SqliteUses(str(tmp_path / "file"))
    with pytest.raises(StoreUnavailable) as caught:
        await broken.claim("a", LATER)
    assert str(tmp_path) not in caught.value.detail
    nowhere = SqliteUses(str(tmp_path / "file" / "below.db"))
    with pytest.raises(StoreUnavailable):
        await nowhere.claim("a", LATER)
    await broken.close()
    await nowhere.close()
