"""The house's own dialect, `native` (docs/architecture.md, "Native signature").

    /shop/cat.jpg?w=800&fit=cover&exp=1764000000&kid=k1&sig=…

Signed are five lines joined by LF: `countermark-v1`, the method class `read` (GET and HEAD), the site's audience, the raw
path, and the canonical query: every raw pair but `sig`, sorted bytewise, joined by "&". The algorithm is the key's:
HMAC-SHA-256 (43 characters of base64url) or Ed25519 (86).

The order of the pairs is free, because they are sorted: that is the one thing a middlebox may change. All else has one
spelling: names and values keep A-Z a-z 0-9 - . _ ~ as they are, and escape every other byte of their UTF-8 as %XX in
upper case; each pair has its "=".

    exp   required: unix seconds, ten digits, at most the key's max_life away
    kid   required: the key's id
    nbf   unix seconds before which it is refused
    iat   unix seconds at which it was signed, at most `exp`
    ip    client address or network that it is bound to, 203.0.113.7 or 203.0.113.0/24 (escaped), IPv6 likewise
    geo   countries that it is bound to, ISO 3166-1 alpha-2 in upper case, sorted, joined by ".": CH.DE
    sid   the session that it lives no longer than
    cid   the client whom it was issued to
    uid   the user whom it was issued for, as the issuer names him
    ctx   what it was made for, such as a campaign
    jti   the issuer's own name for it, by which it can be revoked
    once  it opens one time only; the value is what tells it from others, 16 to 64 characters of base64url
    th    transform hash of the preset that is named beside it
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from urllib.parse import quote

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, SignatureInvalid, TargetMalformed
from countermark.core.grant import Network
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import (
    Capabilities,
    Denial,
    MintOrder,
    Presented,
    Realm,
    refuse_reserved,
    refuse_unfillable,
)
from countermark.signing.expiry import read_expiry
from countermark.signing.network import read_network, write_network
from countermark.signing.primitives import holds, sign
from countermark.signing.spelling import CANONICAL_QUERY

VERSION = "countermark-v1"
METHOD_CLASS = "read"

_RESERVED = frozenset({"sig", "kid", "exp", "nbf", "iat", "ip", "geo", "sid", "cid", "uid", "ctx", "jti", "once", "th"})
# What the claims hold already.
_NOT_OPERATIONS = _RESERVED | {"preset"}

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_TRANSFORM_HASH = re.compile(r"[A-Za-z0-9_-]{8,64}")
_FACTS = {
    "sid": (re.compile(r"[A-Za-z0-9_-]{16,64}"), "16 to 64 characters of base64url"),
    "cid": (re.compile(r"[A-Za-z0-9._-]{1,64}"), "1 to 64 of A-Z a-z 0-9 . _ -"),
    "uid": (re.compile(r"[^\x00-\x1f\x7f]{1,128}"), "1 to 128 characters"),
    "ctx": (re.compile(r"[^\x00-\x1f\x7f]{1,128}"), "1 to 128 characters"),
    "jti": (re.compile(r"[A-Za-z0-9_-]{8,64}"), "8 to 64 characters of base64url"),
    "once": (re.compile(r"[A-Za-z0-9_-]{16,64}"), "16 to 64 characters of base64url"),
    "geo": (re.compile(r"[A-Z]{2}(\.[A-Z]{2}){0,249}"), "country codes such as CH.DE, sorted, in upper case"),
}
"""Facts that are texts: what they may be, as a pattern and in words."""

_LENGTHS = {"hmac-sha256": 32, "ed25519": 64}


class Native:
    """Reads and checks the house's own URLs."""

    name = "native"
    syntax = "native"
    reserved = _RESERVED
    denials: Mapping[str, Denial] = {}
    options: tuple[Option, ...] = ()
    capabilities = Capabilities(
        title="countermark",
        page="native",
        source="docs/architecture.md",
        algorithms=("hmac-sha256", "ed25519"),
        signs_path=True,
        signs_query=True,
        signs_host=True,  # by way of the audience, which the host decides
        signs_method=True,
        expiry=True,
        address=True,
        prefix=False,
        key_ids=True,
        binds=frozenset(
            {
                "user",
                "client",
                "session",
                "jti",
                "context",
                "preset",
                "transform_hash",
                "geo",
                "once",
                "not_before",
                "issued",
            }
        ),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        values = {pair.name: pair.value for pair in target.pairs}
        if "sig" not in values:
            return None
        # Others call their signature `sig` too; none of ours is without the id of its key.
        if "kid" not in values and len(realm.dialects) > 1:
            return None
        # One spelling a URL: else a signed URL has endless siblings that caches and revocation take for others.
        if len(values) != len(target.pairs) or not CANONICAL_QUERY.fullmatch(target.query or ""):
            raise TargetMalformed(
                "A signed query escapes every byte but A-Z a-z 0-9 - . _ ~ as %XX in upper case, and names nothing twice.",
                rule="query-spelling",
            )
        expires = read_expiry("exp", values.get("exp", ""))
        not_before = read_expiry("nbf", values["nbf"]) if "nbf" in values else None
        if not_before is not None and not_before >= expires:
            raise ParameterInvalid("nbf must be earlier than exp.")
        issued = read_expiry("iat", values["iat"]) if "iat" in values else None
        if issued is not None and issued > expires:
            raise ParameterInvalid("iat must not be later than exp.")
        facts = {name: _fact(name, values[name]) for name in _FACTS if name in values}
        return Presented(
            signature=_signature(values["sig"]),
            key_id=_key_id(values.get("kid", "")),
            path=target.path,
            pairs=tuple([pair for pair in target.pairs if pair.name not in _NOT_OPERATIONS]),
            message=message(realm.audience, target.path, target.pairs),
            expires=expires,
            not_before=not_before,
            address=read_network("ip", values["ip"]) if "ip" in values else None,
            preset=values.get("preset", ""),
            transform_hash=_transform_hash(values) if "th" in values else "",
            issued=issued,
            countries=_countries(facts.get("geo", "")),
            session=facts.get("sid", ""),
            client_id=facts.get("cid", ""),
            user=facts.get("uid", ""),
            context=facts.get("ctx", ""),
            jti=facts.get("jti", ""),
            once=facts.get("once", ""),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        # The algorithm is the key's alone: nothing in the URL can turn a public key into a shared secret.
        return key.algorithm in self.capabilities.algorithms and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        names = ("version", "method class", "audience", "path", "query")
        return tuple(zip(names, presented.message.decode().split("\n"), strict=True))

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """`extras` are facts by their names in the URL (geo, sid, cid, uid, ctx, jti, once, iat); a `once` of "new" takes
        the order's nonce, an `iat` of "now" its time.
        """
        refuse_unfillable(self.name, order, takes=frozenset({"not_before", "address", "iat", *_FACTS}))
        facts = dict(order.extras)
        if facts.get("once") == "new":
            facts["once"] = order.nonce
        if facts.get("iat") == "now":
            facts["iat"] = str(order.now)
        return mint_native(
            target,
            audience=realm.audience,
            key=key,
            expires=order.expires,
            not_before=order.not_before,
            address=None if order.address is None else ip_network(order.address),
            facts=facts,
        )


def message(audience: str, path: str, pairs: tuple[Pair, ...]) -> bytes:
    """The signed bytes."""
    # str sorts by code point, which is bytewise here: raw pairs are ASCII.
    query = "&".join(sorted([pair.raw for pair in pairs if pair.name != "sig"]))
    return f"{VERSION}\n{METHOD_CLASS}\n{audience}\n{path}\n{query}".encode()


def mint_native(
    target: Target,
    *,
    audience: str,
    key: Key,
    expires: int,
    not_before: int | None = None,
    address: Network | None = None,
    facts: Mapping[str, str] = {},
) -> str:
    """A native URL of this path and these operations, whose escaping is made canonical.

    The pairs come out sorted, so that the same picture always has the same URL. `facts` are further bound facts by their
    names in the URL. Raises ParameterInvalid where the target is signed already, ConfigurationInvalid where the key
    cannot sign.
    """
    refuse_reserved(target, _RESERVED - {"th"})
    bound = {"exp": str(expires), "kid": key.id, **facts}
    if not_before is not None:
        bound["nbf"] = str(not_before)
    if address is not None:
        bound["ip"] = write_network(address)
    pairs = [(pair.name, pair.value) for pair in target.pairs] + list(bound.items())
    written = sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    signed = message(audience, target.path, tuple(Pair("", "", raw) for raw in written))
    return f"{target.path}?{'&'.join(written)}&sig={base64url(sign(key, signed))}"


def _signature(text: str) -> bytes:
    signature = read_base64url(text)
    if signature is None or len(signature) not in _LENGTHS.values():
        raise SignatureInvalid(
            "sig is not a signature: 43 or 86 characters of base64url in its one spelling, without padding."
        )
    return signature


def _key_id(text: str) -> str:
    if not _KEY_ID.fullmatch(text):
        raise ParameterInvalid("kid is required beside sig: the id of the signing key.")
    return text


def _transform_hash(values: Mapping[str, str]) -> str:
    if not values.get("preset"):
        raise ParameterInvalid("th binds the operations of a preset; there is no preset in this URL.")
    if not _TRANSFORM_HASH.fullmatch(values["th"]):
        raise ParameterInvalid("th must be 8 to 64 characters of base64url.")
    return values["th"]


def _fact(name: str, text: str) -> str:
    pattern, words = _FACTS[name]
    if not pattern.fullmatch(text):
        raise ParameterInvalid(f"{name} must be {words}.")
    return text


def _countries(text: str) -> frozenset[str]:
    codes = text.split(".") if text else []
    # One spelling a list, for the same reason as for the whole query.
    if codes != sorted(set(codes)):
        raise ParameterInvalid("geo names each country once, in alphabetical order.")
    return frozenset(codes)
