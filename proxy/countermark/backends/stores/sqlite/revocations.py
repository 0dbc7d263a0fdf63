"""The list of revocations as a table that only grows."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence

import msgspec

from countermark.backends.stores.sqlite.database import Database
from countermark.identity.revocation import Revocation
from countermark.ports import Page

_POLL_SECONDS = 0.05
_COARSE_SECONDS = 0.1
_SIGN_OF_LIFE_SECONDS = 0.5

_decode = msgspec.json.Decoder(Revocation).decode
_encode = msgspec.json.Encoder().encode


class SqliteRevocationLog:
    """A cursor is LIST.PLACE: the random id of the table, and the number of an entry. AUTOINCREMENT gives no number
    twice, and writers come one after the other, so none appears behind a reader. Where the file was replaced the id
    differs, and the reader begins anew.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, revocations: Sequence[Revocation]) -> str:
        rows = [(_encode(revocation),) for revocation in revocations]

        def add(connection: sqlite3.Connection) -> str:
            connection.executemany("INSERT INTO revocations (body) VALUES (?)", rows)
            last = connection.execute("SELECT max(place) FROM revocations").fetchone()[0]
            return f"{_list(connection)}.{last or 0}"

        return await self._database.write(add)

    async def read(self, after: str, limit: int = 10_000) -> Page:
        listed, _, place = after.rpartition(".")
        reached = int(place) if place.isdecimal() else 0

        def find(connection: sqlite3.Connection) -> tuple[str, list[tuple[int, bytes]]]:
            present = _list(connection)
            behind = reached if listed == present else 0
            query = "SELECT place, body FROM revocations WHERE place > ? ORDER BY place LIMIT ?"
            rows = connection.execute(query, (behind, limit)).fetchall()
            return f"{present}.{rows[-1][0] if rows else behind}", rows

        nothing: tuple[str, list[tuple[int, bytes]]] = (after, [])
        cursor, rows = await self._database.read(find, empty=nothing)
        return Page(revocations=tuple([_decode(body) for _, body in rows]), cursor=cursor)

    async def follow(self, after: str) -> AsyncIterator[Page]:
        read = changed = spoke = float("-inf")
        while True:
            changed, before = self._database.last_change(), changed
            # The time of a change is coarse: one that is fresh may stand for a second change that was not read yet.
            if changed != before or time.time() - changed < _COARSE_SECONDS or _past(read, _SIGN_OF_LIFE_SECONDS):
                page = await self.read(after)
                after, read = page.cursor, time.monotonic()
                if page.revocations or _past(spoke, _SIGN_OF_LIFE_SECONDS):
                    yield page
                    spoke = time.monotonic()
                if page.revocations:  # there may be more
                    changed = float("-inf")
                    continue
            await asyncio.sleep(_POLL_SECONDS)


def _past(moment: float, seconds: float) -> bool:
    return time.monotonic() - moment >= seconds


def _list(connection: sqlite3.Connection) -> str:
    return str(connection.execute("SELECT id FROM list").fetchone()[0])
