"""OG Image API's signed URLs (seed text "Signed URLs Deep Dive" of ogimageapi.io).

    /api/signed/image?title=Hello&exp=1700003600&sig=e9f8…

The vendor says "HMAC-SHA256(params + expiration, secret_key)" and no more: neither order nor escaping, nor whether the path
counts. Form `og1` is ours, and the default:

    og1 LF path LF canonical query        HMAC-SHA-256 in 64 lower-case hexadecimal digits

The canonical query has every pair but `sig`, read as form data ("+" and %20 are both a space), escaped by RFC 3986, sorted.
`exp` is among them, and so are `kid` (id of the key; without it all are tried) and `ip` (client address or network) where
they are there.

Two nearer readings of the vendor's sentence stand behind `unsafe_profile`; neither signs the path, so both hold at one path
alone, option `endpoint`:

    params+exp    the canonical pairs without exp, then its digits, nothing between: its ten digits are what holds the border
    raw           the query as sent without sig
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network
from urllib.parse import quote, unquote_plus

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, SignatureInvalid
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

_OWN = "og1"
_GLUED = "params+exp"
_RAW = "raw"
_DAY = 86_400
_MAC_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _denial(said: str) -> Denial:
    return Denial(status=400, body=json.dumps({"error": said}), content_type="application/json")


class OGImage:
    """Reads and checks OG Image API's signed URLs."""

    name = "ogimage"
    syntax = "native"
    reserved = frozenset({"sig", "exp", "kid", "ip"})
    denials: Mapping[str, Denial] = {
        "signature_missing": _denial("Signature missing"),
        "signature_invalid": _denial("Signature invalid"),
        "key_inactive": _denial("Signature invalid"),
        "expired": _denial("URL expired"),
        "parameter_invalid": _denial("{detail}"),
        "parameter_unknown": _denial("{detail}"),
    }
    options = (
        Option(
            name="source",
            kind="str",
            default="",
            sentence="The signed parameter that names the picture; empty where the path does.",
        ),
        Option(
            name="endpoint",
            kind="str",
            default="/api/signed/image",
            sentence="The only path at which a profile that does not sign the path holds.",
        ),
        Option(
            name="unsafe_profile",
            kind="str",
            default=_OWN,
            sentence="What is signed: the gateway's own form, or one of two that do not sign the path.",
            choices=(_OWN, _GLUED, _RAW),
        ),
        Option(
            name="unsafe_cache_life",
            kind="int",
            default=0,
            sentence="Seconds that caches keep a picture, though its URL end before, as the vendor has it (86400); "
            "0 ends with the URL.",
            bounds=(0, _DAY),
        ),
    )
    capabilities = Capabilities(
        title="OG Image API",
        page="ogimage",
        source="ogimageapi.io, Signed URLs Deep Dive",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        if all(pair.name != "sig" for pair in target.pairs):
            return None
        signed = tuple(pair for pair in target.pairs if pair.name != "sig")
        values = {pair.name: unquote_plus(pair.raw.partition("=")[2]) for pair in signed}
        _refuse_names(target)
        expires = read_expiry("exp", values.get("exp", ""))
        source = realm.text(self.name, "source")
        if source and not values.get(source):
            raise ParameterInvalid(f"{source} is required: it names the picture.")
        return Presented(
            signature=_signature(target),
            key_id=values.get("kid", ""),
            path=target.path,
            pairs=tuple(_canonical(pair) for pair in signed if pair.name not in self.reserved | {source}),
            message=_message(target.path, signed, realm),
            expires=expires,
            address=read_network("ip", values["ip"]) if "ip" in values else None,
            source=quote(values[source], safe="/:") if source else "",
            cache_life=realm.number(self.name, "unsafe_cache_life"),
            confidence=frozenset({"host-unsigned", "method-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        held = key.algorithm == "hmac-sha256" and holds(key, presented.message, presented.signature)
        return held and presented.key_id in ("", key.id)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        lines = presented.message.decode().split("\n")
        names = ("version", "path", "query") if len(lines) > 1 else ("query",)
        return tuple(zip(names, lines, strict=True))

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """A `kid` that stands in the target is signed with it; it must name the key."""
        refuse_unfillable(self.name, order, takes=frozenset({"address"}))
        refuse_reserved(target, self.reserved - {"kid"})
        facts = {"exp": str(order.expires)}
        if order.address is not None:
            facts["ip"] = write_network(ip_network(order.address))
        raws = [*[pair.raw for pair in target.pairs], *[f"{name}={quote(fact)}" for name, fact in facts.items()]]
        pairs = tuple(Pair(raw.partition("=")[0], "", raw) for raw in raws)
        mac = sign(key, _message(target.path, pairs, realm)).hex()
        return f"{target.path}?{'&'.join(raws)}&sig={mac}"


def _message(path: str, pairs: tuple[Pair, ...], realm: Realm) -> bytes:
    """The signed bytes; pairs without `sig`."""
    profile = realm.text(OGImage.name, "unsafe_profile")
    if profile == _OWN:
        return f"{_OWN}\n{path}\n{_sorted(pairs)}".encode()
    # Else a signature of any picture's parameters would open them on every other picture.
    if path != realm.text(OGImage.name, "endpoint"):
        raise SignatureInvalid("The signature does not cover this path.")
    if profile == _RAW:
        return "&".join([pair.raw for pair in pairs]).encode()
    expires = "".join(pair.raw.partition("=")[2] for pair in pairs if pair.name == "exp")
    return f"{_sorted(tuple(pair for pair in pairs if pair.name != 'exp'))}{expires}".encode()


def _sorted(pairs: tuple[Pair, ...]) -> str:
    named = sorted((pair.name, _canonical(pair).raw) for pair in pairs)
    return "&".join(raw for _, raw in named)


def _canonical(pair: Pair) -> Pair:
    """The pair as form data has it, in RFC 3986's one spelling; its name is plain."""
    value = unquote_plus(pair.raw.partition("=")[2])
    return Pair(pair.name, value, f"{pair.name}={quote(value, safe='')}")


def _refuse_names(target: Target) -> None:
    for pair in target.pairs:
        # An escaped name is another spelling of a reserved one; a glued form has names end where values begin.
        if not _NAME.fullmatch(pair.name) or not pair.raw.startswith(f"{pair.name}="):
            raise ParameterInvalid("Names of parameters have 1 to 64 of A-Z a-z 0-9 _ . - and a '=' behind them.")


def _signature(target: Target) -> bytes:
    text = next(pair.raw for pair in target.pairs if pair.name == "sig").partition("=")[2]
    signature = read_hex(text)
    if signature is None or len(signature) != _MAC_BYTES:
        raise SignatureInvalid("sig is not a signature: 64 hexadecimal digits in lower case.")
    return signature
