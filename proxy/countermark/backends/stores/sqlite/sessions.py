"""Sessions as rows; their state is compared and replaced in one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from countermark.backends.stores.sqlite.database import Database
from countermark.core.errors import StoreUnavailable
from countermark.identity.session import Session

_MOST = 1000
_GRACE = 86_400

_decode = msgspec.msgpack.Decoder(Session).decode
_encode = msgspec.msgpack.Encoder().encode


class SqliteSessions:
    """A session is forgotten a day after its end."""

    def __init__(self, database: Database, wall_clock: Callable[[], float]) -> None:
        self._database = database
        self._wall_clock = wall_clock

    async def create(self, session: Session) -> None:
        forgotten = int(self._wall_clock()) - _GRACE
        body = _encode(session)

        def insert(connection: sqlite3.Connection) -> bool:
            connection.execute("DELETE FROM sessions WHERE expires < ?", (forgotten,))
            row = (
                session.id,
                session.user,
                session.client_id,
                session.generation,
                session.expires,
                session.ended,
                body,
            )
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
            return _body(connection, session.id) == body

        # An id that is taken would make two people share one session (fixation).
        if not await self._database.write(insert):
            raise StoreUnavailable("The session could not be made; try again.", private="its id is taken")

    async def read(self, id: str) -> Session | None:
        body = await self._database.read(lambda connection: _body(connection, id), empty=None)
        return None if body is None else _decode(body)

    async def replace(self, session: Session, *, generation: int) -> bool:
        row = (session.generation, session.expires, session.ended, _encode(session), session.id, generation)
        return await self._database.write(
            lambda connection: bool(
                connection.execute(
                    "UPDATE sessions SET generation = ?, expires = ?, ended = ?, body = ? "
                    "WHERE id = ? AND generation = ? AND ended IS NULL",
                    row,
                ).rowcount
            )
        )

    async def of(self, *, user: str = "", client_id: str = "") -> tuple[Session, ...]:
        named = {column: value for column, value in (("user", user), ("client_id", client_id)) if value}
        conditions = "".join(f" AND {column} = ?" for column in named)
        query = f"SELECT body FROM sessions WHERE ended IS NULL AND expires >= ?{conditions} LIMIT {_MOST}"  # noqa: S608
        values = (int(self._wall_clock()), *named.values())
        none: list[tuple[bytes]] = []
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall(), empty=none)
        return tuple(_decode(body) for (body,) in rows)


def _body(connection: sqlite3.Connection, id: str) -> bytes | None:
    row = connection.execute("SELECT body FROM sessions WHERE id = ?", (id,)).fetchone()
    return None if row is None else bytes(row[0])
