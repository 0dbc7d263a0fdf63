"""The store of many machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from countermark.backends.stores.cells import Cells
from countermark.backends.stores.redis.links import LISTS, Links
from countermark.backends.stores.redis.outbox import RedisOutbox
from countermark.backends.stores.redis.revocations import RedisRevocationLog
from countermark.backends.stores.redis.sessions import RedisSessions
from countermark.backends.stores.redis.turnstile import RedisTurnstile
from countermark.settings.store_url import RedisUrl


class RedisStore:
    """It opens whether the server can be reached or not; `cells` count on this machine what needs no other."""

    def __init__(self, url: RedisUrl, cells: Path, *, wall_clock: Callable[[], float]) -> None:
        self._links = Links(url)
        self.cells = Cells(cells, wall_clock=wall_clock)
        self.turnstile = RedisTurnstile(self._links, self.cells)
        self.revocations = RedisRevocationLog(self._links.of(LISTS))
        self.sessions = RedisSessions(self._links.of(LISTS), wall_clock)
        self.outbox = RedisOutbox(self._links.of(LISTS))

    @property
    def trouble(self) -> str:
        return self._links.trouble

    @property
    def evicts(self) -> str:
        """By which of its settings a server forgets what it was told to keep, "" where it does not."""
        return self._links.evicts

    async def look(self) -> str:
        return await self._links.look()

    async def start(self) -> None:
        """Connect, or go on trying in the background."""
        await self._links.start()

    async def close(self) -> None:
        await self._links.close()
        self.cells.close()
