"""Tasks as a hash of bodies, a sorted set of the times at which they are due, and a hash of attempts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from countermark.backends.stores.redis.link import Argument, Link, unavailable
from countermark.backends.stores.redis.links import LISTS, key
from countermark.backends.stores.redis.scripts import DONE, LEASE, PUT, PUT_OFF
from countermark.core.tasks import Task

_KEYS = [key(LISTS, f"tasks:{name}") for name in ("bodies", "due", "attempts")]

_decode = msgspec.msgpack.Decoder(Task).decode
_encode = msgspec.msgpack.Encoder().encode


class RedisOutbox:
    """A lease puts a task off and counts the attempt at once, so that whoever dies over it need not say so."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def put(self, tasks: Sequence[Task]) -> None:
        arguments: list[Argument] = []
        for task in tasks:
            arguments += (task.id, _encode(task), repr(task.due), task.attempts)
        await self._link.run(PUT, _KEYS, arguments, durable=True)

    async def lease(self, *, limit: int, seconds: float, now: float) -> tuple[Task, ...]:
        leased = await self._link.run(LEASE, _KEYS, [repr(now), repr(now + seconds), limit])
        try:
            return tuple(
                replace(_decode(body), due=float(due), attempts=int(attempts)) for body, due, attempts in leased
            )
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise unavailable(f"a task cannot be read: {error}") from None

    async def done(self, id: str) -> None:
        await self._link.run(DONE, _KEYS, [id])

    async def put_off(self, id: str, *, due: float) -> None:
        await self._link.run(PUT_OFF, _KEYS, [id, repr(due)])
