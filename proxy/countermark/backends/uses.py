"""Used single-use credentials in an SQLite file that the workers share."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from countermark.core.errors import StoreUnavailable, Used

_Result = TypeVar("_Result")

_BUSY_SECONDS = 2.0
_GRACE = 3600
_TABLE = "CREATE TABLE IF NOT EXISTS uses (id TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID"
_INDEX = "CREATE INDEX IF NOT EXISTS uses_expires ON uses (expires)"

log = structlog.get_logger("countermark.uses")


class SqliteUses:
    """The file is made when the first credential is claimed, so that whoever has none needs no place to write.

    One thread does all the work of this process; other workers are held off by SQLite's own locks (WAL).
    """

    def __init__(self, file: str, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._file = Path(file)
        self._wall_clock = wall_clock
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="uses")

    async def claim(self, id: str, expires: int) -> SqliteUse:
        """The primary key decides between two who come at once. Raises Used or StoreUnavailable."""
        if not await self._run(lambda: self._insert(id, expires)):
            raise Used("The URL opens once, and it has been used.")
        return SqliteUse(self, id)

    async def release(self, id: str) -> None:
        """Forget a use; where that fails it stays taken."""
        try:
            await self._run(lambda: self._delete(id))
        except StoreUnavailable as error:
            log.warning("use not given back", reason=error.private)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        # Shielded: the work of a cancelled request is done all the same, in the order in which it was asked for.
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                "The gateway cannot tell now whether this URL was used.", private=str(error)
            ) from None

    def _insert(self, id: str, expires: int) -> bool:
        connection = self._connected()
        with connection:
            # What is long past its time is refused for that; the grace is for clocks that were set back.
            connection.execute("DELETE FROM uses WHERE expires < ?", (int(self._wall_clock()) - _GRACE,))
            found = connection.execute("INSERT INTO uses VALUES (?, ?) ON CONFLICT DO NOTHING", (id, expires))
            return found.rowcount == 1

    def _delete(self, id: str) -> None:
        connection = self._connected()
        with connection:
            connection.execute("DELETE FROM uses WHERE id = ?", (id,))

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._file, timeout=_BUSY_SECONDS)
            try:
                for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _TABLE, _INDEX):
                    connection.execute(statement)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SqliteUse:
    """A use that was taken."""

    def __init__(self, uses: SqliteUses, id: str) -> None:
        self._uses = uses
        self._id = id

    async def release(self) -> None:
        await self._uses.release(self._id)
