"""The store of one machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from countermark.backends.stores.cells import Cells
from countermark.backends.stores.sqlite.database import Database
from countermark.backends.stores.sqlite.outbox import SqliteOutbox
from countermark.backends.stores.sqlite.revocations import SqliteRevocationLog
from countermark.backends.stores.sqlite.sessions import SqliteSessions
from countermark.backends.stores.sqlite.turnstile import SqliteTurnstile
from countermark.core.errors import StoreUnavailable


class SqliteStore:
    """A file of the database, and FILE.rates beside it for counts that may be forgotten."""

    def __init__(self, file: Path, *, wall_clock: Callable[[], float]) -> None:
        self._database = Database(file)
        self.cells = Cells(file.with_name(f"{file.name}.rates"), wall_clock=wall_clock)
        self.turnstile = SqliteTurnstile(self._database, self.cells, wall_clock)
        self.revocations = SqliteRevocationLog(self._database)
        self.sessions = SqliteSessions(self._database, wall_clock)
        self.outbox = SqliteOutbox(self._database)

    @property
    def trouble(self) -> str:
        return self._database.trouble

    async def look(self) -> str:
        with suppress(StoreUnavailable):
            await self._database.read(
                lambda connection: connection.execute("PRAGMA schema_version").fetchone(), empty=None
            )
        return self.trouble

    async def close(self) -> None:
        await self._database.close()
        self.cells.close()
