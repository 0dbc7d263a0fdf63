"""Tasks as rows with the time at which they are due."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from countermark.backends.stores.sqlite.database import Database
from countermark.core.tasks import Task


class SqliteOutbox:
    """A lease puts a task off and counts the attempt at once, so that whoever dies over it need not say so."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tasks: Sequence[Task]) -> None:
        rows = [(task.id, task.kind, task.payload, task.created, task.due, task.attempts) for task in tasks]
        await self._database.write(
            lambda connection: (
                connection.executemany(
                    "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
                ).rowcount
            )
        )

    async def lease(self, *, limit: int, seconds: float, now: float) -> tuple[Task, ...]:
        def take(connection: sqlite3.Connection) -> list[tuple[str, str, bytes, float, float, int]]:
            query = "SELECT id, kind, payload, created, due, attempts FROM tasks WHERE due <= ? ORDER BY due LIMIT ?"
            rows = connection.execute(query, (now, limit)).fetchall()
            leased = [(now + seconds, id) for id, *_ in rows]
            connection.executemany("UPDATE tasks SET due = ?, attempts = attempts + 1 WHERE id = ?", leased)
            return rows

        rows = await self._database.write(take)
        return tuple(
            Task(id=id, kind=kind, payload=payload, created=created, due=due, attempts=attempts)
            for id, kind, payload, created, due, attempts in rows
        )

    async def done(self, id: str) -> None:
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM tasks WHERE id = ?", (id,)).rowcount
        )

    async def put_off(self, id: str, *, due: float) -> None:
        await self._database.write(
            lambda connection: connection.execute("UPDATE tasks SET due = ? WHERE id = ?", (due, id)).rowcount
        )
