"""Holder: whoever presents authentic credentials, with all that is known of him before anything is allowed."""

from __future__ import annotations

from msgspec import Struct

from countermark.core.audit import Audit
from countermark.core.grant import Claims
from countermark.core.request import Address
from countermark.delivery.sites import Site
from countermark.identity.client import Client
from countermark.identity.revocation import Handle
from countermark.identity.session import Session
from countermark.policy.template import Template
from countermark.signing.verify import Proof
from countermark.traffic.gcra import Limit

Caller = tuple[Address, str, str]
"""Address, country and region of a request's client."""


class Clearance:
    """What was last found of a holder, so that it is not looked for again on every request.

    lifts     those that were known before his session was read: what the store says of it may be different after another
    version   of the revocations at which he was clear; it stays true while the version stands
    caller    for whom signature, networks and policy were open; it stays true, as time only shortens what is left
    address   as text, for which `limits` are the ceilings
    """

    __slots__ = ("address", "caller", "lifts", "limits", "version")

    def __init__(self, *, lifts: int) -> None:
        self.lifts = lifts
        self.version = -1
        self.caller: Caller | None = None
        self.address: str | None = None
        self.limits: tuple[Limit, ...] = ()


class Holder(Struct, frozen=True, kw_only=True):
    """A function of the request's text, the configuration and the session; it may be kept as long as these stand.

    proof      signature and key; its claims are complete, the session's facts among them
    template   the policy that the session was made for, else the site's; None where the site has none
    client     the registered client that the claims name, None where they name none
    handles    every name under which it could have been revoked
    issued     unix seconds, the earliest that it may have been issued
    grant      the grant's id as events tell it
    audit      how his requests are written down
    """

    site: Site
    proof: Proof
    session: Session | None
    template: Template | None
    client: Client | None
    handles: tuple[Handle, ...]
    issued: float
    grant: str
    audit: Audit
    clearance: Clearance

    @property
    def claims(self) -> Claims:
        return self.proof.claims
