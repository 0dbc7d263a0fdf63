"""Where the server is that may be written to, at this moment."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as NotReached

from countermark.backends.stores.redis.client import TROUBLES, Dialer
from countermark.settings.store_url import RedisUrl

Place = tuple[str, int]
Locate = Callable[[], Awaitable[Place]]


def locate_single(url: RedisUrl) -> Locate:
    """Always the host of the URL."""

    async def locate() -> Place:
        return url.hosts[0]

    return locate


def locate_master(dialer: Dialer) -> Locate:
    """The master that most Sentinels name: one that is cut off from the others may name the former one."""

    async def locate() -> Place:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", dialer.url.name)
        answers = await asyncio.gather(*(_ask(dialer.sentinel(*place), *command) for place in dialer.url.hosts))
        named = Counter(_place(answer) for answer in answers if isinstance(answer, list) and len(answer) == 2)
        if not named:
            raise NotReached(f"no Sentinel names a master of this group{_because(answers)}")
        return named.most_common(1)[0][0]

    return locate


def locate_slot(dialer: Dialer, key: str) -> Locate:
    """The node of a Cluster that serves a key's slot, as any node tells that can be reached."""
    slot = key_slot(key.encode())
    known = set(dialer.url.hosts)

    async def locate() -> Place:
        answers = []
        for place in random.sample(sorted(known), len(known)):
            answer = await _ask(dialer.server(*place), "CLUSTER", "SLOTS")
            answers.append(answer)
            for first, last, master, *replicas in answer if isinstance(answer, list) else []:
                known.update(_place(node) for node in (master, *replicas) if node[0])
                if first <= slot <= last:
                    return _place(master) if master[0] else (place[0], int(master[1]))
        raise NotReached(f"no node of the Cluster says who serves the slot{_because(answers)}")

    return locate


async def _ask(client: Redis, *command: str) -> Any:
    """The answer, or the error in its place."""
    try:
        # Sent as it is: redis-py would make a value of its own of these answers.
        connection: Connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        await connection.send_command(*command)
        return await connection.read_response()
    except TROUBLES as error:
        return error
    finally:
        await client.aclose()


def _because(answers: list[Any]) -> str:
    """What the first said that could not answer."""
    return next((f": {error}" for error in answers if isinstance(error, Exception)), "")


def _place(node: list[Any]) -> Place:
    return bytes(node[0]).decode(), int(node[1])
