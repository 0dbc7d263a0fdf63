"""Why a signed URL is refused: the first failed check, the bytes that were signed, and what may have happened on the way.

For the holder of the keys only. It never tells the signature that would have been right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    CountryMismatch,
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
from countermark.core.target import Target, parse_target
from countermark.keys.keyring import Keyring
from countermark.signing.dialect import Dialect, Presented, Realm
from countermark.signing.realm import waivers
from countermark.signing.repairs import Repair, lenient_target, repairs
from countermark.signing.table import DIALECTS
from countermark.signing.verify import AHEAD, authenticate, signer

NOWHERE = ip_address("192.0.2.0")
"""Stands for a client whose address is not known (RFC 5737)."""

_TIMES = frozenset({"exp", "nbf", "expire"})
_THIRTEEN_DIGITS = re.compile(r"[0-9]{13}")

_STEPS: tuple[tuple[type[CountermarkError], str], ...] = (
    (MethodNotAllowed, "method"),
    (SignatureMissing, "dialect"),
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


class Finding(Struct, frozen=True):
    """Something that explains a refusal. `proven`: undoing it makes the signature hold."""

    change: str
    detail: str
    proven: bool


class Explanation(Struct, frozen=True, kw_only=True):
    """What is known of one URL at one time.

    good        whether it opens the site
    step        the first failed check: target, method, dialect, reading, signature, key, time, address or country; "" if good
    reason      the error's stable reason; `detail` what the public is told, `private` the rest
    parts       what is signed, in order, as the gateway read it; empty where the URL could not be read that far
    expires_in  seconds until (or, negative, since) its expiry; None without one
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
    findings: tuple[Finding, ...] = ()


def explain(
    raw_target: str,
    *,
    realm: Realm,
    keyring: Keyring,
    now: float,
    client: Address = NOWHERE,
    method: str = "GET",
    host: str = "",
    headers: Mapping[str, str] = {},
) -> Explanation:
    """Explain the raw target of a request to this realm. Never raises for anything that a URL can hold.

    `host` and `headers` are as in `EdgeRequest`, for dialects that read them.
    """
    try:
        target, broken = parse_target(raw_target, waive=waivers(realm)), None
    except TargetMalformed as error:
        target, broken = lenient_target(raw_target), error
    request = EdgeRequest(id="", method=method, target=target, host=host, client=client, headers=headers, received=0.0)
    if broken is not None:
        return Explanation(
            good=False,
            site=realm.site,
            step="target",
            reason=broken.reason,
            detail=broken.detail,
            private=f"rule {broken.rule}",
            findings=_proven(request, realm, keyring),
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
        findings=_findings(error, request, presented, dialect, realm, keyring, now),
    )


def _findings(
    error: CountermarkError,
    request: EdgeRequest,
    presented: Presented | None,
    dialect: Dialect,
    realm: Realm,
    keyring: Keyring,
    now: float,
) -> tuple[Finding, ...]:
    if isinstance(error, (Expired, NotYetValid)) and presented is not None:
        return (_clock(error, presented, now),)
    found = (*_milliseconds(request.target), *_proven(request, realm, keyring))
    if isinstance(error, SignatureInvalid) and presented is not None and presented.key_id:
        found = (*_wrong_key(presented.key_id, dialect, realm, keyring), *found)
    return found


def _clock(error: CountermarkError, presented: Presented, now: float) -> Finding:
    if isinstance(error, Expired) and presented.expires is not None:
        detail = f"expired {int(now - presented.expires)} seconds ago by this clock"
    else:
        begins = max(presented.not_before or 0, (presented.issued or 0) - AHEAD)
        detail = f"valid in {int(begins - now) + 1} seconds by this clock"
    return Finding("clock", f"{detail}; the signature itself holds", proven=True)


def _milliseconds(target: Target) -> tuple[Finding, ...]:
    named = [pair.name for pair in target.pairs if pair.name in _TIMES and _THIRTEEN_DIGITS.fullmatch(pair.value)]
    return tuple(Finding("clock", f"{name} looks like milliseconds; it takes seconds", proven=False) for name in named)


def _wrong_key(key_id: str, dialect: Dialect, realm: Realm, keyring: Keyring) -> tuple[Finding, ...]:
    named = next((key for key in keyring.keys if key.id == key_id), None)
    if named is None:
        return (Finding("key", "the keyring has no key of this id", proven=False),)
    if named.dialect != dialect.name:
        return (Finding("key", f"this key belongs to the dialect {named.dialect}", proven=False),)
    if not named.opens(realm.site):
        return (Finding("key", f"this key does not open the site {realm.site}", proven=False),)
    return ()


def _proven(request: EdgeRequest, realm: Realm, keyring: Keyring) -> tuple[Finding, ...]:
    """The repairs that make the signature hold."""
    key_ids = tuple(key.id for key in keyring.keys if key.opens(realm.site))
    found: dict[str, Finding] = {}
    for repair in repairs(request.target, key_ids):
        if repair.change not in found and _holds(repair, request, realm, keyring):
            found[repair.change] = Finding(repair.change, repair.detail, proven=True)
    return tuple(found.values())


def _holds(repair: Repair, request: EdgeRequest, realm: Realm, keyring: Keyring) -> bool:
    repaired = replace(request, target=repair.target)
    for name in realm.dialects:
        try:
            presented = DIALECTS[name].read(repaired, realm)
            if presented is not None:
                signer(presented, DIALECTS[name], realm, keyring)
                return True
        except CountermarkError:
            continue
    return False


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
