"""Single uses in the database, rates in cells beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import structlog

from countermark.backends.stores.cells import Cells
from countermark.backends.stores.sqlite.database import Database
from countermark.core.errors import StoreUnavailable, Used
from countermark.ports import Entry, Ticket
from countermark.traffic.gcra import Limit, Verdict

GRACE = 3600
"""Seconds for which a use is kept beyond its ticket's end, for clocks that are set back."""

_FOR_EVER = 2**62
_SWEEP_SECONDS = 60.0

log = structlog.get_logger("countermark.turnstile")


class SqliteTurnstile:
    """A ticket's primary key decides between two who come at once."""

    def __init__(self, database: Database, cells: Cells, wall_clock: Callable[[], float]) -> None:
        self._database = database
        self._cells = cells
        self._wall_clock = wall_clock
        self._swept = float("-inf")

    def at_once(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...] | None:
        return self._cells.take(limits, now)

    async def enter(self, limits: tuple[Limit, ...], ticket: Ticket | None, now: float) -> Entry:
        # Rates come first: who presents a used ticket over and over is slowed down like anybody else.
        verdicts = self._cells.take(limits, now)
        if ticket is None:
            return Entry(verdicts=verdicts)
        if not await self._database.write(lambda connection: self._claim(connection, ticket)):
            raise Used("The URL opens once, and it has been used.")
        return Entry(verdicts=verdicts, use=SqliteUse(self._database, ticket))

    def _claim(self, connection: sqlite3.Connection, ticket: Ticket) -> bool:
        self._sweep(connection)
        expires = _FOR_EVER if ticket.expires is None else ticket.expires
        made = connection.execute(
            "INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (ticket.id, ticket.attempt, expires)
        )
        if made.rowcount:
            return True
        holder = connection.execute("SELECT attempt FROM claims WHERE id = ?", (ticket.id,)).fetchone()
        return bool(holder[0] == ticket.attempt)

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """What is long past its time is refused for that, and need not be remembered."""
        now = self._wall_clock()
        if abs(now - self._swept) >= _SWEEP_SECONDS:
            connection.execute("DELETE FROM claims WHERE expires < ?", (int(now) - GRACE,))
            self._swept = now


class SqliteUse:
    """A use that was taken."""

    def __init__(self, database: Database, ticket: Ticket) -> None:
        self._database = database
        self._ticket = ticket

    async def release(self) -> None:
        """Forget the use; where that fails it stays taken."""
        named = (self._ticket.id, self._ticket.attempt)
        try:
            await self._database.write(
                lambda connection: connection.execute("DELETE FROM claims WHERE id = ? AND attempt = ?", named).rowcount
            )
        except StoreUnavailable as error:
            log.warning("use not given back", reason=error.private)
