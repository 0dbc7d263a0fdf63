"""One SQLite file, its one connection in this process, and the one thread that uses it.

The journal is written ahead (WAL) and synced before a change counts as made (synchronous FULL). With NORMAL a power cut
could forget the last claims, and what was used would open again. What FULL costs is shared: all changes that wait when
the thread comes to them are made in one transaction, and synced once.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from countermark.core.errors import StoreUnavailable

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]

_BATCH = 256
_BUSY_SECONDS = 1.0
_PATIENCE = 5.0
_OPENINGS = 5
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS claims (id TEXT PRIMARY KEY, attempt TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS claims_expires ON claims (expires)",
    "CREATE TABLE IF NOT EXISTS revocations (place INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS list (id TEXT NOT NULL)",
    "INSERT INTO list SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM list)",
    "CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, user TEXT NOT NULL, client_id TEXT NOT NULL, "
    "generation INTEGER NOT NULL, expires INTEGER NOT NULL, ended REAL, body BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user, expires)",
    "CREATE INDEX IF NOT EXISTS sessions_client ON sessions (client_id, expires)",
    "CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires)",
    "CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL, "
    "created REAL NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS tasks_due ON tasks (due)",
)


class Database:
    """The file is made with the first change, so that whoever changes nothing needs no place to write.

    `trouble` is why the last work failed, "" when it did not.
    """

    def __init__(self, file: Path) -> None:
        self.trouble = ""
        self._file = file
        self._journal = f"{file}-wal"
        self._connection: sqlite3.Connection | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def write(self, work: Work[Result]) -> Result:
        """Run `work` in a transaction together with what others wait for; it must not raise for its own reasons.

        It is done even if whoever waits for it leaves. Raises StoreUnavailable.
        """
        result: Result = await self._ask(_Job(work, writes=True))
        return result

    async def read(self, work: Work[Result], *, empty: Result) -> Result:
        """What `work` finds, `empty` where there is no file yet. Raises StoreUnavailable."""
        result: Result = await self._ask(_Job(work, writes=False, empty=empty))
        return result

    def last_change(self) -> float:
        """When a process last wrote to the journal, in unix seconds as coarse as the kernel's; 0.0 where none is."""
        try:
            return os.stat(self._journal).st_mtime
        except OSError:
            return 0.0

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    async def _ask(self, job: _Job) -> Any:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        try:
            # Not cancelled with its request: a change that was asked for is made, in the order of asking.
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.shield(asyncio.wrap_future(job.answer))
        except (sqlite3.Error, OSError, TimeoutError) as error:
            self.trouble = str(error) or "the disk does not answer"
            raise StoreUnavailable(
                "The gateway cannot read or write what it must remember.", private=self.trouble
            ) from None

    def _serve(self) -> None:
        jobs = self._waiting()
        while jobs:
            self._do(jobs)
            jobs = self._waiting()
        self._disconnect()

    def _waiting(self) -> list[_Job]:
        """All that waits, at least one job; none when the store is closed."""
        first = self._jobs.get()
        jobs = [first] if first is not None else []
        while jobs and len(jobs) < _BATCH:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _do(self, jobs: list[_Job]) -> None:
        changes = [job for job in jobs if job.writes]
        try:
            results = self._change(changes) if changes else []
            results += self._find([job for job in jobs if not job.writes])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and the thread lives on
            self._disconnect()
            for job in jobs:
                job.answer.set_exception(error)
            return
        self.trouble = ""
        for job, result in results:
            job.answer.set_result(result)

    def _change(self, jobs: list[_Job]) -> list[tuple[_Job, Any]]:
        connection = self._connection = self._connection or self._connected(make=True)
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        results = [(job, job.work(connection)) for job in jobs]
        connection.execute("COMMIT")
        return results

    def _find(self, jobs: list[_Job]) -> list[tuple[_Job, Any]]:
        connection = self._connection = self._connection or self._connected(make=False)
        return [(job, job.empty if connection is None else job.work(connection)) for job in jobs]

    def _connected(self, *, make: bool) -> sqlite3.Connection | None:
        if not self._file.exists():
            if not make:
                return None
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # Sealed seeds of sessions stand in it: nobody else on this machine needs them.
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        for _ in range(_OPENINGS - 1):
            try:
                return self._open()
            except sqlite3.OperationalError:  # SQLite does not wait for others who make a journal at the same moment
                time.sleep(0.02)
        return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        """Closing ends an open transaction without a change."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Job:
    """Work for the thread, where its answer goes, and the answer where there is no file."""

    __slots__ = ("answer", "empty", "work", "writes")

    def __init__(self, work: Work[Any], *, writes: bool, empty: Any = None) -> None:
        self.work = work
        self.writes = writes
        self.empty = empty
        self.answer: Future[Any] = Future()
