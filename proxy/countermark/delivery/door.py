"""The front door: one function, one line a stage. Each stage needs the value that only the one before can make."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter

from countermark.core.answer import Answer
from countermark.core.events import RequestEvent
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.delivery import once
from countermark.delivery.authorize import authorize
from countermark.delivery.obtain import Obtain
from countermark.delivery.resolve import resolve
from countermark.delivery.respond import respond
from countermark.delivery.sites import Site, SiteTable
from countermark.delivery.vouch import vouch
from countermark.delivery.warrants import Asked, Warrant, Warrants
from countermark.keys.keyring import Keyring
from countermark.ports import Uses
from countermark.signing.verify import admit, prove

_SHORT_TARGET = 512


class FrontDoor:
    """The data plane of one worker, built once from one configuration."""

    def __init__(
        self,
        *,
        sites: SiteTable,
        keyring: Keyring,
        obtain: Obtain,
        uses: Uses,
        ready: Callable[[], list[str]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._sites = sites
        self._keyring = keyring
        self._obtain = obtain
        self._uses = uses
        self._ready = ready
        self._close = close
        self._warrants = Warrants()
        self._short_target = lru_cache(2048)(self._parse)

    def read_target(self, host: str, raw: str) -> Target:
        """Parse a raw target as strictly as its site allows, or raise TargetMalformed.

        Short targets are remembered; long ones could fill the memory.
        """
        return self._short_target(host, raw) if len(raw) <= _SHORT_TARGET else self._parse(host, raw)

    def _parse(self, host: str, raw: str) -> Target:
        site = self._sites.find(host, raw.partition("?")[0])
        return parse_target(raw) if site is None else parse_target(raw, waive=site.waivers)

    async def answer(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Answer one request or raise a CountermarkError; fills in `event` on the way."""
        warrant = self._warrant(request, event)
        claims = admit(warrant.proof, request.client, request.received, country=request.country)
        if claims.once and request.method == "GET":
            return await self._answer_once(warrant, once.whole(request), event)
        return await self._deliver(warrant, request, event)

    def at_hand(self, request: EdgeRequest, event: RequestEvent) -> Answer | None:
        """The answer to a URL that was proven before, from memory; None where more is to be done. Raises as `answer`."""
        warrant = self._warrants.find(_asked(request))
        if warrant is None or warrant.proof.claims.once:
            return None
        admit(warrant.proof, request.client, request.received, country=request.country)
        rendition = self._obtain.at_hand(warrant.plan, request.received)
        if rendition is None:
            return None
        _name(event, warrant.site, warrant.proof.claims)
        event.cache = "hit"
        return respond(rendition, warrant, request, event)

    def verify(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Whether another proxy may answer this request of its own, by the very checks that a picture takes."""
        warrant = self._warrant(request, event)
        admit(warrant.proof, request.client, request.received, country=request.country)
        return vouch(warrant, request.received)

    async def _deliver(self, warrant: Warrant, request: EdgeRequest, event: RequestEvent) -> Answer:
        obtained = await self._obtain(warrant.plan, request.headers, event)
        return respond(obtained, warrant, request, event)

    async def _answer_once(self, warrant: Warrant, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Claimed last, so that nothing which would be refused anyway costs the use; HEAD never does."""
        use = await once.claim(self._uses, warrant.grant)
        try:
            answer = await self._deliver(warrant, request, event)
        except BaseException:
            await use.release()
            raise
        return await once.until_sent(answer, use)

    def _warrant(self, request: EdgeRequest, event: RequestEvent) -> Warrant:
        """Site, proof, grant and plan of the request's text, from memory where it was proven before."""
        asked = _asked(request)
        warrant = self._warrants.find(asked)
        if warrant is not None:
            _name(event, warrant.site, warrant.proof.claims)
            return warrant
        started = perf_counter()
        site = self._sites.match(request.host, request.target.path)
        event.site = site.name
        proof = prove(request, site.realm, self._keyring)
        _name(event, site, proof.claims)
        # Nobody who is refused for his time or address gets to hear of the plan.
        admit(proof, request.client, request.received, country=request.country)
        grant = authorize(site, proof.claims)
        plan = resolve(site, grant, request)
        warrant = Warrant(site=site, proof=proof, grant=grant, plan=plan)
        self._warrants.keep(asked, warrant)
        event.stages["verify"] = perf_counter() - started
        return warrant

    async def ready(self) -> list[str]:
        """Why this worker should get no requests now; empty when it should."""
        return self._ready()

    async def close(self) -> None:
        """Let go of origins, caches and render children."""
        await self._close()


def _asked(request: EdgeRequest) -> Asked:
    return request.method, request.host, request.target.raw, request.headers.get("accept", "")


def _name(event: RequestEvent, site: Site, claims: Claims) -> None:
    event.site, event.dialect, event.key_id, event.grant = (
        site.name,
        claims.dialect,
        claims.key_id,
        claims.id.hex()[:16],
    )
