"""The front door: one function, one line a stage. Each stage needs the value that only the one before can make."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from countermark.core.answer import Answer
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.delivery.authorize import authorize
from countermark.delivery.obtain import Obtain
from countermark.delivery.resolve import resolve
from countermark.delivery.respond import respond
from countermark.delivery.sites import SiteTable
from countermark.keys.keyring import Keyring
from countermark.signing.verify import authenticate


class FrontDoor:
    """The data plane of one worker, built once from one configuration."""

    def __init__(
        self,
        *,
        sites: SiteTable,
        keyring: Keyring,
        obtain: Obtain,
        close: Sequence[Callable[[], Awaitable[None]]],
    ) -> None:
        self._sites = sites
        self._keyring = keyring
        self._obtain = obtain
        self._close = tuple(close)

    async def answer(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Answer one request or raise a CountermarkError; fills in `event` on the way."""
        site = self._sites.match(request)
        event.site = site.name
        started = time.perf_counter()
        claims = authenticate(request, site.realm, self._keyring, request.received)
        event.dialect, event.key_id, event.grant = claims.dialect, claims.key_id, claims.id[:8].hex()
        grant = authorize(site, claims)
        plan = resolve(site, grant, request)
        verified = time.perf_counter() - started
        obtained = self._obtain.at_hand(plan, request.received)
        if obtained is None:
            event.stages["verify"] = verified
            result = await self._obtain(plan, request.headers, event)
            return respond(result, site, grant, plan, request, event)
        event.cache = "hit"
        return respond(obtained, site, grant, plan, request, event)

    async def ready(self) -> list[str]:
        """Why this worker should get no requests now; empty when it should."""
        return []

    async def close(self) -> None:
        """Let go of origins, caches and render children."""
        for close in self._close:
            await close()
