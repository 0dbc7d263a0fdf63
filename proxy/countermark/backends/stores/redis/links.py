"""Which server has which keys.

A key is countermark:{ROOM}:NAME. In a Cluster the room, as hash tag, decides on the slot, and each room has a link of its
own: sixteen for single uses, by a hash of the ticket, one for all rates, so that the limits of a request are counted together,
and one for lists (revocations, sessions, tasks). Elsewhere one link serves all rooms.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b

from countermark.backends.stores.redis.client import Dialer
from countermark.backends.stores.redis.link import Link
from countermark.backends.stores.redis.locate import locate_master, locate_single, locate_slot
from countermark.settings.store_url import RedisUrl

RATES = "rates"
LISTS = "lists"

_USES = tuple(f"uses-{number:x}" for number in range(16))


class Links:
    """The links of a store, by room. Raises ConfigurationInvalid where the URL's files cannot be used."""

    def __init__(self, url: RedisUrl) -> None:
        dialer = Dialer(url)
        rooms = (RATES, LISTS, *_USES)
        if url.kind == "cluster":
            probes = {room: key(room, "probe") for room in rooms}
            self._links = {room: Link(dialer, locate_slot(dialer, probe), probe) for room, probe in probes.items()}
        else:
            locate = locate_master(dialer) if url.kind == "sentinel" else locate_single(url)
            self._links = dict.fromkeys(rooms, Link(dialer, locate, key(RATES, "probe")))

    def of(self, room: str) -> Link:
        return self._links[room]

    @property
    def trouble(self) -> str:
        return next((link.trouble for link in self._links.values() if link.trouble), "")

    @property
    def evicts(self) -> str:
        return next((link.evicts for link in self._links.values() if link.evicts), "")

    async def look(self) -> str:
        """The trouble, after each server was asked."""
        await asyncio.gather(*(link.look() for link in set(self._links.values())))
        return self.trouble

    async def start(self) -> None:
        await asyncio.gather(*(link.start() for link in set(self._links.values())))

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in set(self._links.values())))


def key(room: str, name: str) -> str:
    """The name of a key on the server."""
    return f"countermark:{{{room}}}:{name}"


def digest(text: str) -> str:
    """A short name for any text, of which no part can be chosen."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def uses_room(hashed: str) -> str:
    """The room of a ticket, by the digest of its id."""
    return _USES[int(hashed[0], 16)]
