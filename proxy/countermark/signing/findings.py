"""What explains a refusal: the clock, the key, another dialect or host, and what was changed on the way.

For the holder of the keys only. A finding tells neither a secret nor the signature that would have been right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.errors import (
    CountermarkError,
    Expired,
    KeyInactive,
    LifetimeExceeded,
    NotYetValid,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.request import EdgeRequest
from countermark.core.target import Target
from countermark.keys.keyring import HASHES, MACS, Algorithm, Key, Keyring
from countermark.signing.dialect import Dialect, Presented, Realm
from countermark.signing.realm import defaults
from countermark.signing.repairs import repairs
from countermark.signing.table import DIALECTS
from countermark.signing.verify import AHEAD, prove, signer

NOWHERE = ip_address("192.0.2.0")
"""Stands for a client whose address is not known (RFC 5737)."""

_TIMES = frozenset({"exp", "nbf", "expire", "expires", "Expires", "ik-t"})
_THIRTEEN_DIGITS = re.compile(r"[0-9]{13}")
_RSA = frozenset({"rsa-sha1", "rsa-sha256"})


class Finding(Struct, frozen=True):
    """Something that explains a refusal. `proven`: undoing it makes the signature hold."""

    change: str
    detail: str
    proven: bool


class Refusal(Struct, frozen=True, kw_only=True):
    """A refused request and all that is known of it; `presented` is None where its credentials could not be read."""

    error: CountermarkError
    request: EdgeRequest
    dialect: Dialect
    presented: Presented | None
    realm: Realm
    keyring: Keyring
    now: float


def findings(refusal: Refusal) -> tuple[Finding, ...]:
    """What explains it, the proven first."""
    error = refusal.error
    if refusal.presented is not None and isinstance(error, (Expired, NotYetValid, LifetimeExceeded)):
        return (_clock(error, refusal.presented, refusal.now),)
    if refusal.presented is not None and isinstance(error, KeyInactive):
        return tuple(_key_dates(refusal.presented, refusal))
    if _held(refusal.request, refusal.realm, refusal.keyring) is not None:
        return ()
    found = [*_signers(refusal), *_changes(refusal), *_elsewhere(refusal), *_other_dialects(refusal)]
    if any(finding.proven for finding in found):
        return tuple(found)
    return (*found, *_milliseconds(refusal.request.target), *_suspects(refusal))


def _clock(error: CountermarkError, presented: Presented, now: float) -> Finding:
    if presented.expires is not None and isinstance(error, Expired):
        detail = f"expired {int(now - presented.expires)} seconds ago by this clock"
    elif presented.expires is not None and isinstance(error, LifetimeExceeded):
        detail = f"valid for {int(presented.expires - now)} seconds more by this clock"
    else:
        begins = max(presented.not_before or 0, (presented.issued or 0) - AHEAD)
        detail = f"valid in {int(begins - now) + 1} seconds by this clock"
    return Finding("clock", f"{detail}; the signature itself holds", proven=True)


def _key_dates(presented: Presented, refusal: Refusal) -> Iterator[Finding]:
    try:
        key = signer(presented, refusal.dialect, refusal.realm, refusal.keyring)
    except CountermarkError:
        return
    detail = f"key {key.id} is {key.state}"
    if key.not_before is not None and refusal.now < key.not_before:
        detail = f"key {key.id} counts from {_written(key.not_before)}"
    elif key.not_after is not None and refusal.now > key.not_after:
        detail = f"key {key.id} counted until {_written(key.not_after)}"
    yield Finding("key", f"{detail}; the signature itself is its own", proven=True)


def _milliseconds(target: Target) -> Iterator[Finding]:
    for pair in target.pairs:
        if pair.name in _TIMES and _THIRTEEN_DIGITS.fullmatch(pair.value):
            yield Finding("clock", f"{pair.name} looks like milliseconds; it takes seconds", proven=False)


def _signers(refusal: Refusal) -> Iterator[Finding]:
    """The key that did sign, though it is none that may, or not in that way."""
    presented, dialect = refusal.presented, refusal.dialect
    if presented is None or not isinstance(refusal.error, SignatureInvalid):
        return
    for key in refusal.keyring.keys:
        fault = _misfit(key, presented, refusal)
        if fault and _made_by(key, presented, dialect):
            yield Finding("key", f"key {key.id} made this signature, and {fault}", proven=True)
            return
        for algorithm in _alike(key, dialect):
            if _made_by(replace(key, algorithm=algorithm), presented, dialect):
                detail = f"the signature is {algorithm} with the secret of key {key.id}, which is for {key.algorithm}"
                yield Finding("key", detail, proven=True)
                return


def _misfit(key: Key, presented: Presented, refusal: Refusal) -> str:
    """Why this key's signature does not count, "" where it would."""
    if key.dialect != refusal.dialect.name:
        return f"belongs to the dialect {key.dialect}"
    if not key.opens(refusal.realm.site):
        return f"does not open the site {refusal.realm.site}"
    named = refusal.dialect.capabilities.key_ids and key.id != presented.key_id
    return f"the URL names {presented.key_id!r}" if named else ""


def _alike(key: Key, dialect: Dialect) -> tuple[Algorithm, ...]:
    """The dialect's other algorithms that take the same material."""
    families = (frozenset(MACS) | frozenset(HASHES), _RSA)
    family = next((names for names in families if key.algorithm in names), frozenset())
    return tuple(name for name in dialect.capabilities.algorithms if name in family and name != key.algorithm)


def _made_by(key: Key, presented: Presented, dialect: Dialect) -> bool:
    try:
        return dialect.holds(presented, key)
    except (CountermarkError, ValueError):
        return False


def _changes(refusal: Refusal) -> Iterator[Finding]:
    """The repairs that make the signature hold, each change once."""
    realm, keyring = refusal.realm, refusal.keyring
    dialects = [DIALECTS[name] for name in realm.dialects]
    before = () if refusal.presented is None else refusal.dialect.parts(refusal.presented)
    found: set[str] = set()
    for repair in repairs(
        refusal.request,
        own=frozenset().union(*(dialect.reserved for dialect in dialects)),
        fields=frozenset({"cookie"}).union(*(dialect.capabilities.headers for dialect in dialects)),
        key_ids=tuple(key.id for key in keyring.keys if key.opens(realm.site)),
    ):
        if repair.change in found:
            continue
        signed = _held(repair.request, realm, keyring)
        if signed is not None:
            found.add(repair.change)
            yield Finding(repair.change, repair.detail + _signed_then(before, signed), proven=True)


def _signed_then(before: tuple[tuple[str, str], ...], signed: tuple[tuple[str, str], ...]) -> str:
    """The parts that were signed otherwise than they arrived; never a signature, which is no part of what is signed."""
    parts = [f"{name} {text}" for name, text in signed if (name, text) not in before]
    return f"; signed was {', '.join(parts)}" if parts else ""


def _held(request: EdgeRequest, realm: Realm, keyring: Keyring) -> tuple[tuple[str, str], ...] | None:
    """The signed parts of a request whose signature holds in this realm, None of any other."""
    try:
        dialect = DIALECTS[prove(request, realm, keyring).claims.dialect]
        presented = dialect.read(request, realm)
    except CountermarkError:
        return None
    return None if presented is None else dialect.parts(presented)


def _elsewhere(refusal: Refusal) -> Iterator[Finding]:
    """Whether the signature holds for another scheme and host than the site's, or than those that arrived."""
    realm, request = refusal.realm, refusal.request
    for base_url in (f"https://{request.host}", f"http://{request.host}"):
        moved = replace(realm, base_url=base_url)
        if request.host and base_url != realm.base_url and _held(request, moved, refusal.keyring) is not None:
            there = realm.base_url or "not set"
            detail = f"it was signed for {base_url}, and sites.{realm.site}.base_url is {there}"
            yield Finding("host", detail, proven=True)
    host = realm.base_url.partition("://")[2]
    if host and host != request.host and _held(replace(request, host=host), realm, refusal.keyring) is not None:
        yield Finding("host", f"it was signed for the host {host}, and another arrived", proven=True)


def _other_dialects(refusal: Refusal) -> Iterator[Finding]:
    """Dialects in which the request says something, though the site (or the command line) does not take them."""
    realm, keyring = refusal.realm, refusal.keyring
    alike, signed = [], []
    for name, dialect in DIALECTS.items():
        if name in realm.dialects:
            continue
        options = realm.options.get(name, defaults(name))
        other = replace(realm, dialects=(name,), options={**realm.options, name: options})
        try:
            presented = dialect.read(refusal.request, other)
        except CountermarkError:
            continue
        if presented is None:
            continue
        alike.append(name)
        if any(key.dialect == name and _made_by(key, presented, dialect) for key in keyring.keys):
            signed.append(name)
    here = ", ".join(realm.dialects)
    if signed:
        yield Finding(
            "dialect", f"it is signed in the dialect {', '.join(signed)}, and read here as {here}", proven=True
        )
    elif alike and isinstance(refusal.error, SignatureMissing):
        yield Finding("dialect", f"it has the shape of {', '.join(alike)}, and is read here as {here}", proven=False)


def _suspects(refusal: Refusal) -> Iterator[Finding]:
    """What may be wrong where nothing is proven."""
    presented, dialect = refusal.presented, refusal.dialect
    if presented is None or not isinstance(refusal.error, SignatureInvalid):
        return
    yield Finding("key", _suspected_key(presented, refusal), proven=False)
    if presented.address is not None and refusal.request.client == NOWHERE:
        detail = "the client's address is part of what is signed, and none was given (--ip)"
        yield Finding("address", detail, proven=False)
    elif dialect.capabilities.signs_host and not refusal.realm.base_url and not dialect.capabilities.key_ids:
        yield Finding("host", f"sites.{refusal.realm.site}.base_url is not set", proven=False)


def _suspected_key(presented: Presented, refusal: Refusal) -> str:
    name, site = refusal.dialect.name, refusal.realm.site
    ids = [key.id for key in refusal.keyring.keys if key.dialect == name and key.opens(site)]
    if not ids:
        return f"the keyring has no key of the dialect {name} that opens the site {site}"
    if refusal.dialect.capabilities.key_ids and presented.key_id not in ids:
        return f"the URL names the key {presented.key_id!r}; of {name} the site {site} has {', '.join(ids)}"
    mine = presented.key_id if refusal.dialect.capabilities.key_ids else ", ".join(ids)
    return f"another secret than that of {mine} signed, or another text was signed"


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
