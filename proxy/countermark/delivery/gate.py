"""The gate: what is asked of a holder on every request, however often he was let through before.

1  time, key, address, country as signed   signing/verify.admit
2  revocation                              the replica, only when it has changed since the last time
3  session                                 alive
4  client                                  registered, from its networks
5  network                                 the site's
6  policy                                  template: time to live, geo, network
"""

from __future__ import annotations

from collections.abc import Mapping

from countermark.core.errors import ClientIpNotAllowed, ClientUnknown, Revoked, SessionEnded, StoreUnavailable
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.delivery.holder import Clearance, Holder
from countermark.delivery.sites import Site
from countermark.identity.client import Client
from countermark.identity.revocation import Handle
from countermark.identity.session import Session
from countermark.policy import decide
from countermark.policy.template import Template
from countermark.ports import RevocationReplica
from countermark.signing.verify import admit, in_force
from countermark.traffic.gcra import Limit

_LONG_AGO = float("-inf")


class Gate:
    """`clients` None: no clients are registered, and a client id in a URL is a name like any other.

    `serve_stale`: let pass what is not known to be revoked while the list of revocations may be behind.
    """

    def __init__(
        self,
        *,
        replica: RevocationReplica,
        clients: Mapping[str, Client] | None = None,
        templates: Mapping[str, Template] = {},
        serve_stale: bool = False,
    ) -> None:
        self._replica = replica
        self._templates = templates
        self._clients = clients
        self._serve_stale = serve_stale

    def clearance(self) -> Clearance:
        """For a holder whose session, if he has one, is read after this."""
        return Clearance(lifts=self._replica.lifts)

    def client(self, claims: Claims) -> Client | None:
        """The registered client of these claims. Raises ClientUnknown for one that is not registered."""
        if self._clients is None or not claims.client_id:
            return None
        client = self._clients.get(claims.client_id)
        if client is None:
            raise ClientUnknown("The URL was issued to a client that is not registered.")
        return client

    def template(self, site: Site, session: Session | None) -> Template | None:
        """The policy that the session was made for, else the site's. Raises SessionEnded where it is no longer there."""
        if session is None or not session.template:
            return site.template
        template = self._templates.get(session.template)
        # A session must not fall back to a policy that may allow more than its own.
        if template is None:
            raise SessionEnded("The session's policy does not exist any more.", private=session.template)
        return template

    def was_refreshed(self, session: Session, now: float) -> bool:
        """Whether the session was refreshed since it was read: its end and its policy may be others by now."""
        return self._replica.find((Handle("key", session.key_id),), _LONG_AGO, now) is not None

    def superseded(self, holder: Holder, now: float) -> bool:
        """Whether his session must be read anew.

        That is so where a URL of the server's names it and it was refreshed; for a URL that the session itself has signed
        a refresh is a revocation like any other. And where anything was lifted: the list said that the session, or its
        seed, had come to its end, and what is remembered of it is from before.
        """
        session = holder.session
        if session is None:
            return False
        if holder.clearance.lifts != self._replica.lifts:
            return True
        return session.key_id != holder.claims.key_id and self.was_refreshed(session, now)

    def settled(self, holder: Holder) -> bool:
        """Whether nothing was taken back since he was last found clear."""
        return holder.clearance.version == self._replica.version

    def check(self, holder: Holder, request: EdgeRequest) -> None:
        """Raises what `admit` and `decide.admit` raise, and Revoked, SessionEnded, ClientUnknown, ClientIpNotAllowed,
        StoreUnavailable."""
        now = request.received
        caller = (request.client, request.country, request.region)
        known = caller == holder.clearance.caller
        if known:
            in_force(holder.proof, now)
        else:
            admit(holder.proof, request.client, now, country=request.country)
        self._check_revocations(holder, now)
        if holder.session is not None and not holder.session.lives(now):
            raise SessionEnded("The session that the URL was signed for has ended.")
        if not known:
            self._check_caller(holder, request)
            holder.clearance.caller = caller

    def limits(self, holder: Holder, address: str) -> tuple[Limit, ...]:
        """The ceilings that the request counts against: the client's own, then the template's; `address` as text."""
        clearance = holder.clearance
        if clearance.address != address:
            clearance.limits = self._limits(holder, address)
            clearance.address = address
        return clearance.limits

    def _limits(self, holder: Holder, address: str) -> tuple[Limit, ...]:
        limits: list[Limit] = []
        client = holder.client
        if client is not None and client.rate:
            limits.append(Limit(name="client", key=f"client:{client.id}", interval=1 / client.rate, burst=client.burst))
        if holder.template is not None:
            limits += decide.limits(holder.template, holder.claims, address)
        return tuple(limits)

    def _check_revocations(self, holder: Holder, now: float) -> None:
        replica = self._replica
        # Failing closed: what was taken back a second ago must not open because nobody has heard of it here; and a worker
        # that was started while the store was away has heard of nothing at all.
        if replica.stale and not (self._serve_stale and replica.version):
            raise StoreUnavailable("The gateway cannot tell now whether this URL was revoked.", private=replica.stale)
        version = replica.version
        if holder.clearance.version == version:
            return
        found = replica.find(holder.handles, holder.issued, now)
        if found is not None:
            raise Revoked("The URL was revoked.", private=f"by {found.kind}: {found.reason}")
        holder.clearance.version = version

    def _check_caller(self, holder: Holder, request: EdgeRequest) -> None:
        self._check_networks(holder, request)
        if holder.template is not None:
            moment = decide.Moment(
                now=request.received, address=request.client, country=request.country, region=request.region
            )
            decide.admit(holder.template, holder.claims, moment)

    def _check_networks(self, holder: Holder, request: EdgeRequest) -> None:
        client = holder.client
        if client is not None:
            if client.disabled:
                raise ClientUnknown("The URL was issued to a client that is not registered.", private="disabled")
            if client.networks is not None and request.client not in client.networks:
                raise ClientIpNotAllowed(
                    "The client may not come from this address.", private=f"client is {request.client}"
                )
        if holder.site.networks is not None and request.client not in holder.site.networks:
            raise ClientIpNotAllowed("The site is not open to this address.", private=f"client is {request.client}")
