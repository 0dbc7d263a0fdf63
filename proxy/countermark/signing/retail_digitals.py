"""Retail Digitals' signed image URLs: one client, one address, one use, a quarter of an hour (the vendor's Security page).

    /i/0012345678905/front?w=800&fmt=webp&token=eyJhbGciOiJIUzI1NiIs…

The page tells what a URL is bound to and not how its token is written. Taken here is a compact JWS (RFC 7515) whose header
has exactly `alg` HS256, `typ` rdimg+jwt and the key's `kid`, and whose claims are these and no others:

    aud          option `audience`; iss, which must be option `issuer` where that is set
    client_id    whom the URL was given to
    jti          22 to 64 characters of base64url, for the single use
    iat, nbf, exp    unix seconds; exp at most 900 behind iat, and itself too late; iat and nbf may be 60 ahead of our clock
    ip           the client's address; of IPv6 its first 64 bits count
    img          b and v: barcode and variant, as they stand in the path by option `path`
    th           base64url of SHA-256 of the query as sent, without the token
    geo          countries that it is bound to, optional
    max          uses: 1 where it is there

Session, watermark profile and template version (`sid`, `wm`, `tv`) are refused: a bound fact that nobody checks must not
look like protection.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import LifetimeExceeded, ParameterInvalid, SignatureInvalid
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
from countermark.signing.primitives import holds, sign

LONGEST_LIFE = 900
AHEAD = 60
"""Seconds that the issuer's clock may be ahead of ours."""

_ALGORITHM = "HS256"
_TYPE = "rdimg+jwt"
_MAX_TOKEN = 2048
_SEGMENTS = 3
_IPV6_BITS = 64
_PLACES = re.compile(r"\\\{(barcode|variant)\\\}")

Seconds = Annotated[int, Meta(ge=1_000_000_000, le=9_999_999_999)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
Unique = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22,64}\Z")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No jwk, jku, x5u or crit: nothing in a token chooses its key or its rules."""

    alg: str
    typ: str
    kid: Name


class Image(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Barcode and variant."""

    b: Name
    v: Name


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The claims."""

    aud: str
    client_id: Name
    jti: Unique
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    ip: str
    img: Image
    th: str
    iss: str | UnsetType = UNSET
    geo: Annotated[tuple[Country, ...], Meta(min_length=1)] | UnsetType = UNSET
    max: Annotated[int, Meta(ge=1, le=1)] | UnsetType = UNSET


class RetailDigitals:
    """Reads and checks Retail Digitals' image tokens."""

    name = "retail_digitals"
    syntax = "native"
    reserved = frozenset({"token"})
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=401),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=403),
        "used": Denial(status=410),
    }
    options = (
        Option(name="audience", kind="str", default="img-edge", sentence="The `aud` that a token must have."),
        Option(name="issuer", kind="str", default="", sentence="The `iss` that it must have; empty for any."),
        Option(
            name="path",
            kind="str",
            default="/i/{barcode}/{variant}",
            sentence="The whole path of a picture, by what its token says.",
        ),
    )
    capabilities = Capabilities(
        title="Retail Digitals",
        page="retail_digitals",
        source="Retail Digitals Image API, Security",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=False,
        key_ids=True,
        binds=frozenset({"client", "geo", "issued", "not_before", "once"}),
        forms=("secret", "text_secret"),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        token = next((pair for pair in target.pairs if pair.name == "token"), None)
        if token is None:
            return None
        header, body, message, signature = _split(token)
        self._check_scope(body, target, realm)
        if not 0 < body.exp - body.iat <= LONGEST_LIFE:
            raise LifetimeExceeded(f"The token lives longer than {LONGEST_LIFE} seconds.")
        return Presented(
            signature=signature,
            key_id=header.kid,
            path=target.path,
            pairs=_operations(target),
            message=message,
            expires=body.exp,
            exclusive_expiry=True,
            not_before=body.nbf - AHEAD,
            issued=body.iat,
            address=_network(body.ip),
            once=body.jti,
            client_id=body.client_id,
            countries=frozenset() if body.geo is UNSET else frozenset(body.geo),
            confidence=frozenset({"host-unsigned", "method-unsigned"}),
        )

    def _check_scope(self, body: Body, target: Target, realm: Realm) -> None:
        """The token is for this gateway, this picture and these operations; all of it is signed in the token."""
        issuer = realm.text(self.name, "issuer")
        if body.aud != realm.text(self.name, "audience") or (issuer and body.iss != issuer):
            raise SignatureInvalid("The token was made for somebody else.")
        if target.path != _path(realm, body.img) or _hash(target.pairs) != body.th:
            raise SignatureInvalid("The token belongs to another picture or to other operations.")

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha256" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        header, body = (read_base64url(part) or b"" for part in presented.message.decode().split("."))
        return ("header", header.decode()), ("claims", body.decode())

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """`extras` must have client_id; geo is a list of countries with commas. The order's nonce becomes the jti."""
        refuse_unfillable(self.name, order, takes=frozenset({"address", "client_id", "geo"}))
        refuse_reserved(target, self.reserved)
        if not isinstance(order.address, IPv4Address | IPv6Address) or "client_id" not in order.extras:
            raise ParameterInvalid(
                "A Retail Digitals token needs the client's address (--ip) and its name (--with client_id NAME)."
            )
        if not order.nonce or order.expires - order.now > LONGEST_LIFE:
            raise ParameterInvalid(f"A Retail Digitals token has a nonce and lives at most {LONGEST_LIFE} seconds.")
        body = Body(
            iss=realm.text(self.name, "issuer") or UNSET,
            aud=realm.text(self.name, "audience"),
            client_id=order.extras["client_id"],
            jti=order.nonce,
            iat=order.now,
            nbf=order.now,
            exp=order.expires,
            ip=str(order.address),
            img=_image(target.path, realm),
            th=_hash(target.pairs),
            geo=tuple(order.extras["geo"].split(",")) if "geo" in order.extras else UNSET,
        )
        header = Header(alg=_ALGORITHM, typ=_TYPE, kid=key.id)
        message = ".".join(base64url(msgspec.json.encode(part)) for part in (header, body))
        raws = [*[pair.raw for pair in target.pairs], f"token={message}.{base64url(sign(key, message.encode()))}"]
        return f"{target.path}?{'&'.join(raws)}"


def _split(pair: Pair) -> tuple[Header, Body, bytes, bytes]:
    """Header, claims, signed bytes and signature of a token, of which nothing is believed yet."""
    text = pair.value
    segments = text.split(".")
    decoded = [read_base64url(segment) for segment in segments]
    if len(text) > _MAX_TOKEN or len(segments) != _SEGMENTS or not all(decoded) or pair.raw != f"token={text}":
        raise SignatureInvalid("token is not a token: three parts of base64url with points between.")
    head, claims, signature = (part or b"" for part in decoded)
    try:
        header = msgspec.json.decode(head, type=Header)
        body = msgspec.json.decode(claims, type=Body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SignatureInvalid("The token's header or claims are not those of an image token.") from None
    # One algorithm and one type, whatever the token says: no "none", and no access token in an image token's place.
    if header.alg != _ALGORITHM or header.typ != _TYPE:
        raise SignatureInvalid("The token is of another type or algorithm.")
    return header, body, ".".join(segments[:2]).encode(), signature


def _operations(target: Target) -> tuple[Pair, ...]:
    """`fmt` is the vendor's word for the native `fm`."""
    rest = [pair for pair in target.pairs if pair.name != "token"]
    return tuple(Pair("fm", pair.value, pair.raw) if pair.name == "fmt" else pair for pair in rest)


def _hash(pairs: tuple[Pair, ...]) -> str:
    query = "&".join([pair.raw for pair in pairs if pair.name != "token"])
    return base64url(hashlib.sha256(query.encode()).digest())


def _path(realm: Realm, image: Image) -> str:
    template = realm.text(RetailDigitals.name, "path")
    return template.replace("{barcode}", image.b).replace("{variant}", image.v)


def _image(path: str, realm: Realm) -> Image:
    template = re.escape(realm.text(RetailDigitals.name, "path"))
    found = re.fullmatch(_PLACES.sub(r"(?P<\1>[A-Za-z0-9._-]{1,64})", template), path)
    if found is None or len(found.groupdict()) < 2:
        raise ParameterInvalid("The path is not that of a picture by the site's option path.")
    return Image(b=found["barcode"], v=found["variant"])


def _network(text: str) -> Network:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    # Only the canonical text: no zone, and no IPv4 dressed as IPv6, which no client would ever match.
    if address is None or str(address) != text or "%" in text or getattr(address, "ipv4_mapped", None) is not None:
        raise SignatureInvalid("The token's ip is not an address in its usual short form.")
    bits = _IPV6_BITS if isinstance(address, IPv6Address) else address.max_prefixlen
    return ip_network((address, bits), strict=False)
