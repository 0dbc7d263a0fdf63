"""What only the store of one machine promises: a file that is made when needed, and trouble with it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from countermark.backends.stores.sqlite.store import SqliteStore
from countermark.backends.stores.table import open_store
from countermark.core.errors import StoreUnavailable, Used
from countermark.identity.revocation import Revocation
from countermark.ports import Ticket
from countermark.traffic.gcra import Limit

NOW = 1_700_000_000
LATER = NOW + 60


def ticket(id: str, attempt: str = "x", expires: int | None = LATER) -> Ticket:
    return Ticket(id=id, issued=0.0, expires=expires, attempt=attempt)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "state" / "store.db", wall_clock=lambda: NOW)
    yield opened
    await opened.close()


async def test_nothing_is_written_before_something_is_remembered(store: SqliteStore, tmp_path: Path) -> None:
    """Who has no single uses, no limits and no revocations needs no place to write."""
    assert (await store.revocations.read("")).revocations == ()
    assert await store.sessions.of() == ()
    assert store.turnstile.at_once((), NOW) == ()
    assert not (tmp_path / "state").exists()


async def test_the_files_are_for_the_gateway_alone(store: SqliteStore, tmp_path: Path) -> None:
    """Seeds stand in the database, even if sealed."""
    await store.turnstile.enter((Limit(name="client", key="a", interval=1, burst=2),), ticket("a"), NOW)
    files = sorted(file for file in (tmp_path / "state").iterdir())
    assert [file.name for file in files] == ["store.db", "store.db-shm", "store.db-wal", "store.db.rates"]
    assert [file.stat().st_mode & 0o077 for file in files] == [0, 0, 0, 0]


async def test_a_use_survives_a_restart_and_ends_with_its_time(tmp_path: Path) -> None:
    """Kept in the file; forgotten when no clock that is a little behind could still take its credential."""
    now = [NOW]
    first = SqliteStore(tmp_path / "store.db", wall_clock=lambda: now[0])
    await first.turnstile.enter((), ticket("a"), NOW)
    await first.turnstile.enter((), ticket("for ever", expires=None), NOW)
    await first.close()
    second = SqliteStore(tmp_path / "store.db", wall_clock=lambda: now[0])
    with pytest.raises(Used):
        await second.turnstile.enter((), ticket("a", "y"), NOW)
    now[0] = LATER + 3601
    await second.turnstile.enter((), ticket("a", "y"), NOW)
    with pytest.raises(Used):
        await second.turnstile.enter((), ticket("for ever", "y"), NOW)
    await second.close()


async def test_a_store_that_cannot_be_asked_takes_nothing(tmp_path: Path) -> None:
    """It fails closed, says what is wrong to the operator, and not to the public."""
    (tmp_path / "file").write_text("no database, and far too long to be an empty one" * 20)
    broken = SqliteStore(tmp_path / "file", wall_clock=time.time)
    with pytest.raises(StoreUnavailable) as caught:
        await broken.turnstile.enter((), ticket("a"), NOW)
    assert str(tmp_path) not in caught.value.detail
    assert "not a database" in broken.trouble
    nowhere = SqliteStore(tmp_path / "file" / "below.db", wall_clock=time.time)
    with pytest.raises(StoreUnavailable):
        await nowhere.turnstile.enter((), ticket("a"), NOW)
    await broken.close()
    await nowhere.close()


async def test_who_looks_learns_of_trouble_that_nobody_has_met(tmp_path: Path) -> None:
    """And that there is none where the file is still to be made, which looking does not do."""
    file = tmp_path / "state" / "store.db"
    store = SqliteStore(file, wall_clock=time.time)
    assert await store.look() == ""
    assert not file.exists()
    file.parent.mkdir(exist_ok=True)
    file.write_text("no database, and far too long to be an empty one" * 20)
    assert store.trouble == ""
    assert "not a database" in await store.look()
    await store.close()


async def test_it_recovers_when_the_trouble_is_gone(tmp_path: Path) -> None:
    """Nothing needs to be restarted."""
    file = tmp_path / "store.db"
    file.write_text("no database, and far too long to be an empty one" * 20)
    store = SqliteStore(file, wall_clock=time.time)
    with pytest.raises(StoreUnavailable):
        await store.turnstile.enter((), ticket("a"), NOW)
    file.unlink()
    await store.turnstile.enter((), ticket("a"), NOW)
    assert store.trouble == ""
    await store.close()


async def test_a_locked_database_is_no_use_for_nobody(store: SqliteStore, tmp_path: Path) -> None:
    """A claim that cannot be written is refused, and those that wait with it; later ones are not harmed."""
    await store.turnstile.enter((), ticket("first"), NOW)
    holder = sqlite3.connect(tmp_path / "state" / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    claims = [store.turnstile.enter((), ticket(f"t{number}"), NOW) for number in range(3)]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    holder.execute("ROLLBACK")
    holder.close()
    await store.turnstile.enter((), ticket("t0", "y"), NOW)


async def test_a_name_that_cannot_be_written_harms_nobody_else(store: SqliteStore) -> None:
    """It fails alone, as the fault of its caller, and the store goes on."""
    with pytest.raises(UnicodeEncodeError):
        await store.turnstile.enter((), ticket("\udcff"), NOW)
    await store.turnstile.enter((), ticket("a"), NOW)


async def test_a_follower_of_a_file_that_was_replaced_begins_anew(tmp_path: Path) -> None:
    """A cursor of another list leads nowhere, and nothing of the new one may be missed."""
    entries = [Revocation(kind="jti", value=f"j{number}", created=1.0) for number in range(3)]
    old = await open_store(f"sqlite:{tmp_path}/old.db")
    cursor = await old.revocations.append(entries)
    await old.close()
    new = await open_store(f"sqlite:{tmp_path}/new.db")
    await new.revocations.append(entries[:1])
    assert [entry.value for entry in (await new.revocations.read(cursor)).revocations] == ["j0"]
    await new.close()


async def test_who_is_cancelled_as_the_answer_comes_is_cancelled(store: SqliteStore) -> None:
    """A follower of the list that went on instead would keep its worker from ever ending."""
    for _ in range(20):
        readers = [asyncio.create_task(store.revocations.read("")) for _ in range(100)]
        await readers[0]
        told = []
        for reader in readers:  # one each turn of the loop, so that some are told on the answer's way from the thread
            if reader.cancel():
                told.append(reader)
            await asyncio.sleep(0)
        await asyncio.wait(readers)
        assert all(reader.cancelled() for reader in told)
