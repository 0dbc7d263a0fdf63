"""Why a signed URL is refused: the first failed check, the bytes that were signed, and what may have happened on the way.

For the holder of the keys only. It never tells the signature that would have been right.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    CountryMismatch,
    DialectsMixed,
    Expired,
    KeyInactive,
    LifetimeExceeded,
    MethodNotAllowed,
    NotYetValid,
    SignatureInvalid,
    SignatureMissing,
    TargetMalformed,
)
from countermark.core.grant import Claims
from countermark.core.request import Address, EdgeRequest
from countermark.core.target import parse_target
from countermark.keys.keyring import Keyring
from countermark.signing.dialect import Dialect, Presented, Realm
from countermark.signing.findings import NOWHERE, Finding, Refusal, findings
from countermark.signing.network import write_network
from countermark.signing.realm import waivers
from countermark.signing.repairs import lenient_target
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate

_STEPS: tuple[tuple[type[CountermarkError], str], ...] = (
    (MethodNotAllowed, "method"),
    (SignatureMissing, "dialect"),
    (DialectsMixed, "dialect"),
    (SignatureInvalid, "signature"),
    (KeyInactive, "key"),
    (NotYetValid, "time"),
    (Expired, "time"),
    (LifetimeExceeded, "time"),
    (AddressMismatch, "address"),
    (CountryMismatch, "country"),
)


class Part(Struct, frozen=True):
    """A piece of what is signed; the place of a glued secret is shown as {secret}."""

    name: str
    text: str


class Explanation(Struct, frozen=True, kw_only=True):
    """What is known of one URL at one time.

    good        whether it opens the site
    step        the first failed check: target, method, dialect, reading, signature, key, time, address or country; "" if good
    reason      the error's stable reason; `detail` what the public is told, `private` the rest
    parts       what is signed, in order, as the gateway read it; empty where the URL could not be read that far
    expires_in  seconds until (or, negative, since) its expiry; None without one
    bound       what the URL says that it is bound to, in words; believed only where it is good
    """

    good: bool
    site: str
    step: str = ""
    reason: str = ""
    detail: str = ""
    private: str = ""
    dialect: str = ""
    key_id: str = ""
    parts: tuple[Part, ...] = ()
    expires_in: int | None = None
    bound: tuple[Part, ...] = ()
    findings: tuple[Finding, ...] = ()


def explain(  # noqa: PLR0913 - each is a part of the request or of where it arrives
    raw_target: str,
    *,
    realm: Realm,
    keyring: Keyring,
    now: float,
    client: Address = NOWHERE,
    country: str = "",
    method: str = "GET",
    host: str = "",
    headers: Mapping[str, str] = {},
) -> Explanation:
    """Explain the raw target of a request to this realm. Never raises for anything that a URL can hold.

    `country`, `host` and `headers` are as in `EdgeRequest`, for dialects that read them.
    """
    try:
        target, broken = parse_target(raw_target, waive=waivers(realm)), None
    except TargetMalformed as error:
        target, broken = lenient_target(raw_target), error
    request = EdgeRequest(
        id="",
        method=method,
        target=target,
        host=host,
        client=client,
        headers=headers,
        received=0.0,
        country=country,
    )
    if broken is not None:
        return Explanation(
            good=False,
            site=realm.site,
            step="target",
            reason=broken.reason,
            detail=broken.detail,
            private=f"rule {broken.rule}",
            findings=findings(_refusal(broken, None, request, realm, keyring, now)),
        )
    try:
        claims = authenticate(request, realm, keyring, now)
    except CountermarkError as error:
        return _refused(error, request, realm, keyring, now)
    return _good(claims, _presented(request, realm), realm, now)


def _good(claims: Claims, presented: Presented | None, realm: Realm, now: float) -> Explanation:
    return Explanation(
        good=True,
        site=realm.site,
        dialect=claims.dialect,
        key_id=claims.key_id,
        parts=_parts(DIALECTS[claims.dialect], presented),
        expires_in=_expires_in(presented, now),
        bound=_bound(presented),
    )


def _refused(error: CountermarkError, request: EdgeRequest, realm: Realm, keyring: Keyring, now: float) -> Explanation:
    presented = _presented(request, realm)
    dialect = DIALECTS[error.dialect or realm.dialects[0]]
    return Explanation(
        good=False,
        site=realm.site,
        step=next((step for kind, step in _STEPS if isinstance(error, kind)), "reading"),
        reason=error.reason,
        detail=error.detail,
        private=error.private,
        dialect=dialect.name,
        key_id=presented.key_id if presented else "",
        parts=_parts(dialect, presented),
        expires_in=_expires_in(presented, now),
        bound=_bound(presented),
        findings=findings(_refusal(error, presented, request, realm, keyring, now)),
    )


def _refusal(
    error: CountermarkError,
    presented: Presented | None,
    request: EdgeRequest,
    realm: Realm,
    keyring: Keyring,
    now: float,
) -> Refusal:
    return Refusal(
        error=error,
        request=request,
        dialect=DIALECTS[error.dialect or realm.dialects[0]],
        presented=presented,
        realm=realm,
        keyring=keyring,
        now=now,
    )


def _presented(request: EdgeRequest, realm: Realm) -> Presented | None:
    for name in realm.dialects:
        try:
            presented = DIALECTS[name].read(request, realm)
        except CountermarkError:
            return None
        if presented is not None:
            return presented
    return None


def _parts(dialect: Dialect, presented: Presented | None) -> tuple[Part, ...]:
    return () if presented is None else tuple(Part(name, text) for name, text in dialect.parts(presented))


def _expires_in(presented: Presented | None, now: float) -> int | None:
    return None if presented is None or presented.expires is None else int(presented.expires - now)


def _bound(presented: Presented | None) -> tuple[Part, ...]:
    if presented is None:
        return ()
    facts = {
        "issued": "" if presented.issued is None else str(presented.issued),
        "not before": "" if presented.not_before is None else str(presented.not_before),
        "address": "" if presented.address is None else write_network(presented.address),
        "countries": " ".join(sorted(presented.countries)),
        "blocked countries": " ".join(sorted(presented.blocked_countries)),
        "session": presented.session,
        "client": presented.client_id,
        "user": presented.user,
        "context": presented.context,
        "jti": presented.jti,
        "once": presented.once,
    }
    return tuple(Part(name, text) for name, text in facts.items() if text)
