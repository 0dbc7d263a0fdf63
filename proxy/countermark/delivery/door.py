"""The front door: one function, one line a stage. Each stage needs the value that only the one before can make."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from secrets import token_hex
from time import perf_counter

from msgspec.structs import replace

from countermark.core.answer import Answer
from countermark.core.errors import AddressBlocked, CountermarkError, OutOfScope
from countermark.core.events import RequestEvent
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.delivery import once
from countermark.delivery.authorize import authorize
from countermark.delivery.gate import Gate
from countermark.delivery.holder import Holder
from countermark.delivery.obtain import Obtain
from countermark.delivery.resolve import resolve
from countermark.delivery.respond import lasting_fields, rate_policy, rate_state, respond, respond_at_hand
from countermark.delivery.seeds import Seeds
from countermark.delivery.sentry import Sentry
from countermark.delivery.sites import Site, SiteTable
from countermark.delivery.vouch import vouch
from countermark.delivery.warrants import Asked, Warrant, Warrants
from countermark.identity.revocation import handles, issued_at_earliest
from countermark.identity.session import KEY_ID, Session, told_by
from countermark.policy import decide
from countermark.policy.audit import audited, audited_holder
from countermark.ports import Entry, Turnstile
from countermark.signing.verify import Proof, prove

_SHORT_TARGET = 512


class FrontDoor:
    """The data plane of one worker, built once from one configuration."""

    def __init__(
        self,
        *,
        sites: SiteTable,
        seeds: Seeds,
        gate: Gate,
        turnstile: Turnstile,
        sentry: Sentry,
        obtain: Obtain,
        ready: Callable[[], list[str]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._sites = sites
        self._seeds = seeds
        self._gate = gate
        self._turnstile = turnstile
        self._sentry = sentry
        self._obtain = obtain
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
        warrant = await self._warrant(request, event)
        entry = await self._enter(warrant.holder, request, event)
        return await self._deliver(warrant, entry, request, event)

    def at_hand(self, request: EdgeRequest, event: RequestEvent) -> Answer | None:
        """The answer to a URL that was proven before, from memory; None where more is to be done. Raises as `answer`."""
        warrant = self._warrants.find(_asked(request))
        if warrant is None or warrant.claims.once or self._is_superseded(warrant, request):
            return None
        self._sentry.admit(event.client)
        self._gate.check(warrant.holder, request)
        rendition = self._obtain.at_hand(warrant.plan, request.received)
        if rendition is None:
            return None
        verdicts = self._turnstile.at_once(self._gate.limits(warrant.holder, event.client), request.received)
        if verdicts is None:
            return None
        self._sentry.passed(warrant.holder)
        _name(event, warrant.holder)
        event.cache = "hit"
        return respond_at_hand(rendition, warrant, request, event, verdicts)

    async def verify(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Whether another proxy may answer this request of its own, by the very checks that a picture takes."""
        warrant = await self._warrant(request, event)
        answer = vouch(warrant, request.received)
        entry = await self._enter(warrant.holder, request, event)
        limits = tuple([verdict.limit for verdict in entry.verdicts])
        return replace(answer, momentary=(*rate_policy(limits), *rate_state(entry.verdicts)))

    async def _warrant(self, request: EdgeRequest, event: RequestEvent) -> Warrant:
        """Holder, grant and plan of the request's text, from memory where it was proven before, for a holder who may
        come in now."""
        self._admit(request, event)
        asked = _asked(request)
        warrant = self._warrants.find(asked)
        if warrant is not None and self._is_superseded(warrant, request):
            warrant = None
        started = perf_counter()
        try:
            holder = warrant.holder if warrant is not None else await self._holder(request, event)
            _name(event, holder)
            # Nobody who is refused for his time, address, country or session gets to hear of the plan.
            await self._check(holder, request)
            if warrant is None:
                warrant = self._resolved(holder, request)
                self._keep(asked, warrant, request)
                event.stages["verify"] = perf_counter() - started
        except CountermarkError as error:
            self._sentry.refused(error, request)
            raise
        return warrant

    def _admit(self, request: EdgeRequest, event: RequestEvent) -> None:
        try:
            self._sentry.admit(event.client)
        except AddressBlocked:
            site = self._sites.find(request.host, request.target.path)
            # A site that writes no addresses down writes down none of those that it does not let in.
            event.audit = audited(site.template if site else None)
            raise

    def _is_superseded(self, warrant: Warrant, request: EdgeRequest) -> bool:
        holder = warrant.holder
        return not self._gate.settled(holder) and self._gate.superseded(holder, request.received)

    def _keep(self, asked: Asked, warrant: Warrant, request: EdgeRequest) -> None:
        """Remember it, but for one that stands on a session in the middle of its refresh."""
        holder = warrant.holder
        if holder.session is None or not self._gate.superseded(holder, request.received):
            self._warrants.keep(asked, warrant)

    async def _holder(self, request: EdgeRequest, event: RequestEvent) -> Holder:
        site = self._sites.match(request.host, request.target.path)
        event.site, event.audit = site.name, audited(site.template)
        clearance = self._gate.clearance()
        await self._seeds.meet(request.target)
        proof = prove(request, site.realm, self._seeds)
        _name_proof(event, site, proof.claims, request)
        session = await self._session(proof.claims, request.received)
        claims = proof.claims if session is None else told_by(session, proof.claims)
        template = self._gate.template(site, session)
        return Holder(
            site=site,
            proof=Proof(claims=claims, key=proof.key),
            session=session,
            template=template,
            client=self._gate.client(claims),
            handles=handles(claims, site=site.name, template=template.name if template else ""),
            issued=issued_at_earliest(claims, proof.key.max_life),
            grant=_label(claims),
            audit=audited_holder(template, claims, request.target.path),
            clearance=clearance,
        )

    async def _session(self, claims: Claims, now: float) -> Session | None:
        signer = KEY_ID.fullmatch(claims.key_id)
        if signer:
            return await self._seeds.session(signer[1])
        if not claims.session:
            return None
        session = await self._seeds.session(claims.session)
        if not self._gate.was_refreshed(session, now):
            return session
        self._seeds.forget(session.id)
        return await self._seeds.session(session.id)

    async def _check(self, holder: Holder, request: EdgeRequest) -> None:
        try:
            self._gate.check(holder, request)
        except CountermarkError as error:
            await self._sentry.misused(error, holder, request)
            raise

    def _resolved(self, holder: Holder, request: EdgeRequest) -> Warrant:
        site, claims, client = holder.site, holder.claims, holder.client
        grant = authorize(site, claims, holder.session)
        # Before anybody asks the origin: what is out of scope looks the same whether it exists or not.
        if client is not None and not client.scope.covers(grant.object_key, site.catalogue):
            raise OutOfScope("This client may not see this picture.")
        plan = resolve(site, grant, request)
        if holder.template is not None:
            operations = None if plan.recipe is None else plan.recipe.operations
            decide.inspect(holder.template, claims, operations, claims.preset)
        fields = lasting_fields(holder, grant, self._gate.limits(holder, str(request.client)))
        return Warrant(holder=holder, grant=grant, plan=plan, fields=fields)

    async def _enter(self, holder: Holder, request: EdgeRequest, event: RequestEvent) -> Entry:
        """The ceilings and the single use: claimed last, so that nothing which would be refused anyway costs the use."""
        limits = self._gate.limits(holder, event.client)
        try:
            ticket = once.ticket(holder, request, token_hex(8))
            if not limits and ticket is None:
                entry = Entry()
            else:
                entry = await once.enter(self._turnstile, limits, ticket, request.received)
        except CountermarkError as error:
            error.dialect = holder.claims.dialect
            self._sentry.refused(error, request)
            await self._sentry.misused(error, holder, request)
            raise
        self._sentry.passed(holder)
        return entry

    async def _deliver(self, warrant: Warrant, entry: Entry, request: EdgeRequest, event: RequestEvent) -> Answer:
        if entry.use is None:
            obtained = await self._obtain(warrant.plan, request.headers, event)
            return respond(obtained, warrant, request, event, entry.verdicts)
        whole = once.whole(request)
        try:
            obtained = await self._obtain(warrant.plan, whole.headers, event)
            answer = respond(obtained, warrant, whole, event)
        except BaseException:
            await entry.use.release()
            raise
        return await once.until_sent(answer, entry.use)

    async def ready(self) -> list[str]:
        """Why this worker should get no requests now; empty when it should."""
        return self._ready()

    async def close(self) -> None:
        """Let go of origins, caches and render children."""
        await self._close()


def _asked(request: EdgeRequest) -> Asked:
    return request.method, request.host, request.target.raw, request.headers.get("accept", "")


def _name(event: RequestEvent, holder: Holder) -> None:
    claims = holder.claims
    event.site, event.dialect, event.key_id, event.grant = holder.site.name, claims.dialect, claims.key_id, holder.grant
    event.audit = holder.audit


def _name_proof(event: RequestEvent, site: Site, claims: Claims, request: EdgeRequest) -> None:
    event.site, event.dialect, event.key_id, event.grant = site.name, claims.dialect, claims.key_id, _label(claims)
    event.audit = audited_holder(site.template, claims, request.target.path)


def _label(claims: Claims) -> str:
    return claims.id.hex()
