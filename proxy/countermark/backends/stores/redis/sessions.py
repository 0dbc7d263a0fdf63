"""Sessions as hashes, and sorted sets of the living ones by user and client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from countermark.backends.stores.redis.link import Argument, Link, unavailable
from countermark.backends.stores.redis.links import LISTS, digest, key
from countermark.backends.stores.redis.scripts import BODY, CREATE, LISTED, REPLACE
from countermark.core.errors import StoreUnavailable
from countermark.identity.session import Session

_MOST = 1000
_GRACE = 86_400
_ALL = key(LISTS, "sessions")

_decode = msgspec.msgpack.Decoder(Session).decode
_encode = msgspec.msgpack.Encoder().encode


class RedisSessions:
    """A session is forgotten a day after its end."""

    def __init__(self, link: Link, wall_clock: Callable[[], float]) -> None:
        self._link = link
        self._wall_clock = wall_clock

    async def create(self, session: Session) -> None:
        arguments = (*_fields(session), int(self._wall_clock()))
        made = await self._link.run(CREATE, [_name(session.id), *_indexes(session)], arguments, durable=True)
        # An id that is taken would make two people share one session (fixation).
        if made != 1:
            raise StoreUnavailable("The session could not be made; try again.", private="its id is taken")

    async def read(self, id: str) -> Session | None:
        body = await self._link.run(BODY, [_name(id)], [])
        return None if body is None else _session(body)

    async def replace(self, session: Session, *, generation: int) -> bool:
        arguments = (*_fields(session), generation)
        done = await self._link.run(REPLACE, [_name(session.id), *_indexes(session)], arguments, durable=True)
        return bool(done == 1)

    async def of(self, *, user: str = "", client_id: str = "") -> tuple[Session, ...]:
        index = _user(user) if user else _client(client_id) if client_id else _ALL
        ids = await self._link.run(LISTED, [index], [int(self._wall_clock()), _MOST])
        found = await asyncio.gather(*(self.read(id.decode()) for id in ids))
        return tuple(
            session
            for session in found
            if session is not None and session.ended is None and client_id in ("", session.client_id)
        )


def _fields(session: Session) -> tuple[Argument, ...]:
    ended = "" if session.ended is None else repr(session.ended)
    return session.id, _encode(session), session.generation, ended, session.expires, session.expires + _GRACE


def _session(body: object) -> Session:
    try:
        return _decode(body)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, TypeError) as error:
        raise unavailable(f"a session cannot be read: {error}") from None


def _indexes(session: Session) -> list[str]:
    return [_ALL, _user(session.user), *([_client(session.client_id)] if session.client_id else [])]


def _name(id: str) -> str:
    return key(LISTS, f"session:{id}")


def _user(user: str) -> str:
    return key(LISTS, f"sessions:user:{digest(user)}")


def _client(client_id: str) -> str:
    return key(LISTS, f"sessions:client:{digest(client_id)}")
