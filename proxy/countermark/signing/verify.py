"""The one verify path: every dialect passes through `authenticate` and nothing else.

The steps, in the order in which they are taken; each fails closed:

    1  target     parsed by core/target.py before anything else happens to the request
    2  method     GET and HEAD
    3  dialect    one of the site's, and only one of them in one request; the outer one too, where the site has one
    4  reading    names, limits, expiry syntax, strict decoding: `Dialect.read`
    5  MAC        over all candidate keys, always all of them
    6  key        its state and dates
    7  time       not-before, expiry, longest life: told of authentic URLs only
    8  client     its address and its country
"""

from __future__ import annotations

import hashlib

from msgspec import Struct
from msgspec.structs import replace

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
)
from countermark.core.grant import Claims
from countermark.core.request import Address, EdgeRequest
from countermark.keys.keyring import Key, KeySource
from countermark.signing.cookies import cookie_names
from countermark.signing.dialect import Dialect, Presented, Realm
from countermark.signing.endless import refuse_endless
from countermark.signing.table import DIALECTS

_METHODS = frozenset({"GET", "HEAD"})
AHEAD = 60
"""Seconds that an issuer's clock may be ahead of ours."""


class Proof(Struct, frozen=True, kw_only=True):
    """Authentic credentials, whenever they are looked at: a function of method, host, target, headers and keyring.

    They open nothing by themselves: `admit` says whether they do now, for this client. `outer` is the proof of the site's
    outer dialect, where it has one; both must be admitted.
    """

    claims: Claims
    key: Key
    outer: Proof | None = None


def authenticate(request: EdgeRequest, realm: Realm, keyring: KeySource, now: float) -> Claims:
    """What the request's credentials say, once they are known to be authentic and valid at `now` (unix seconds).

    Raises what `prove` and `admit` raise.
    """
    return admit(prove(request, realm, keyring), request.client, now, country=request.country)


def prove(request: EdgeRequest, realm: Realm, keyring: KeySource) -> Proof:
    """Steps 2 to 5: whose signature this is.

    The result may be kept for the same method, host and target: it needs no clock, a client address that was part of the
    signed text stands in `claims.address` for `admit` to compare, and what depends on header fields says `from_headers`.

    Raises MethodNotAllowed, SignatureMissing, DialectsMixed, TargetMalformed, ParameterUnknown, ParameterInvalid,
    TransformRefused, SignatureInvalid or, for a URL without an end, LifetimeExceeded. The error's `dialect` names the
    dialect that refused; where nothing was presented, the first of the realm's.
    """
    if request.method not in _METHODS:
        raise MethodNotAllowed("Pictures are read with GET or HEAD.")
    outer = _proven(realm.outer, request, realm, keyring) if realm.outer else None
    if realm.outer and outer is None:
        raise _nothing_presented(realm.outer)
    for name in realm.dialects:
        proof = _proven(name, request, realm, keyring)
        if proof is not None:
            return proof if outer is None else _joined(proof, outer)
    raise _nothing_presented(*realm.dialects)


def _proven(name: str, request: EdgeRequest, realm: Realm, keyring: KeySource) -> Proof | None:
    """The proof by this dialect, None where the request brings no credentials of it."""
    dialect = DIALECTS[name]
    try:
        presented = dialect.read(request, realm)
        if presented is None:
            return None
        if name != realm.outer:
            _refuse_mixture(request, realm, dialect, presented)
        key = signer(presented, dialect, realm, keyring)
        refuse_endless(name, presented, realm, key)
        return Proof(claims=_claims(presented, dialect, key), key=key)
    except CountermarkError as error:
        error.dialect = name
        raise


def _joined(proof: Proof, outer: Proof) -> Proof:
    """What both allow: it ends with the first of them, and belongs to whoever has the outer credentials."""
    ends = [claims.expires for claims in (proof.claims, outer.claims) if claims.expires is not None]
    claims = replace(proof.claims, expires=min(ends, default=None), from_headers=True)
    return replace(proof, claims=claims, outer=outer)


def signer(presented: Presented, dialect: Dialect, realm: Realm, keyring: KeySource) -> Key:
    """Step 5: the key whose signature this is, in whatever state, or SignatureInvalid."""
    candidates = _candidates(presented, dialect, realm, keyring)
    found = None
    # Never stops at a match: the time taken must not tell which key it was.
    for key in candidates:
        if dialect.holds(presented, key):
            found = key
    if found is None:
        private = "" if candidates else f"no key of this site for dialect {dialect.name} and id {presented.key_id!r}"
        raise SignatureInvalid("The signature does not belong to this URL.", private=private)
    return found


def _candidates(presented: Presented, dialect: Dialect, realm: Realm, keyring: KeySource) -> tuple[Key, ...]:
    if not dialect.capabilities.key_ids:
        return keyring.candidates(dialect.name, realm.site)
    named = keyring.find(dialect.name, realm.site, presented.key_id)
    return () if named is None else (named,)


def _refuse_mixture(request: EdgeRequest, realm: Realm, dialect: Dialect, presented: Presented) -> None:
    """Step 3: the credentials of two dialects in one request leave open which of them a later reader obeys.

    Cookies count only beside credentials from header fields: a browser sends them with every URL, signed or not.
    """
    if len(realm.dialects) == 1:
        return
    names = {pair.name for pair in request.target.pairs} - dialect.reserved
    cookies = cookie_names(request.headers) if presented.from_headers else frozenset()
    cookies -= dialect.capabilities.cookies
    fields = request.headers.keys() - dialect.capabilities.headers
    for other in realm.dialects:
        facts = DIALECTS[other].capabilities
        if not (names & DIALECTS[other].reserved or cookies & facts.cookies or fields & facts.headers):
            continue
        raise DialectsMixed(
            "The request mixes the credentials of two signature dialects.", private=f"{dialect.name} and {other}"
        )


def admit(proof: Proof, client: Address, now: float, *, country: str = "") -> Claims:
    """Steps 6 to 8: whether authentic credentials count at `now` (unix seconds) and for this client.

    Raises KeyInactive, NotYetValid, Expired, LifetimeExceeded, AddressMismatch or CountryMismatch, with the dialect that
    refused.
    """
    if proof.outer is not None:
        admit(proof.outer, client, now, country=country)
    try:
        _check_validity(proof.claims, proof.key, now)
        _check_client(proof.claims, client, country)
    except CountermarkError as error:
        error.dialect = proof.claims.dialect
        raise
    return proof.claims


def in_force(proof: Proof, now: float) -> None:
    """Steps 6 and 7 alone, for whom `admit` has let in before, with the same address and country: step 8 is the same for
    them at every moment.

    Raises KeyInactive, NotYetValid, Expired or LifetimeExceeded, with the dialect that refused.
    """
    if proof.outer is not None:
        in_force(proof.outer, now)
    try:
        _check_validity(proof.claims, proof.key, now)
    except CountermarkError as error:
        error.dialect = proof.claims.dialect
        raise


def _check_validity(claims: Claims, key: Key, now: float) -> None:
    if not key.verifies(now):
        raise KeyInactive("The key that signed this URL is not in use.", private=f"key {key.id} is {key.state}")
    if claims.not_before is not None and now < claims.not_before:
        raise NotYetValid("The URL is not valid yet.")
    if claims.issued is not None and claims.issued > now + AHEAD:
        raise NotYetValid("The URL was issued in the future.")
    if claims.expires is None:
        return
    if now > claims.expires or (claims.exclusive_expiry and now == claims.expires):
        raise Expired("The URL has expired.")
    if claims.expires - now > key.max_life:
        raise LifetimeExceeded(f"The URL would live longer than its key may grant: {key.max_life} seconds.")


def _check_client(claims: Claims, client: Address, country: str) -> None:
    if claims.address is not None and client not in claims.address:
        raise AddressMismatch("The URL is bound to another client address.", private=f"client is {client}")
    # An unknown country is none of those that are named: a bound fact that cannot be checked does not open.
    if claims.countries and country not in claims.countries:
        raise CountryMismatch("The URL is bound to other countries.", private=f"country is {country or 'not known'}")
    # Nor is it none of those that are closed out.
    if claims.blocked_countries and (not country or country in claims.blocked_countries):
        raise CountryMismatch("The URL is closed to this country.", private=f"country is {country or 'not known'}")


def _claims(presented: Presented, dialect: Dialect, key: Key) -> Claims:
    return Claims(
        dialect=dialect.name,
        syntax=dialect.syntax,
        key_id=key.id,
        id=_grant_id(dialect.name, key.id, presented.message),
        path=presented.path,
        pairs=presented.pairs,
        expires=presented.expires,
        not_before=presented.not_before,
        address=presented.address,
        preset=presented.preset,
        transform_hash=presented.transform_hash,
        source=presented.source,
        issued=presented.issued,
        once=key.id if key.once else presented.once,
        client_id=presented.client_id,
        user=presented.user,
        session=presented.session,
        jti=presented.jti,
        context=presented.context,
        countries=presented.countries,
        blocked_countries=presented.blocked_countries,
        exclusive_expiry=presented.exclusive_expiry,
        cache_life=presented.cache_life,
        from_headers=presented.from_headers,
        confidence=presented.confidence,
    )


def _grant_id(dialect: str, key_id: str, message: bytes) -> bytes:
    """SHA-256 over what was signed, each part behind its length, so that no two triples have the same bytes."""
    head = f"{len(dialect)}:{dialect}{len(key_id)}:{key_id}{len(message)}:".encode()
    return hashlib.sha256(head + message).digest()


def _nothing_presented(*dialects: str) -> SignatureMissing:
    missing = SignatureMissing("The URL is not signed.", private=f"nothing of {', '.join(dialects)} is in it")
    missing.dialect = dialects[0]
    return missing
