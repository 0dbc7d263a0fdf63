"""Bunny CDN token authentication, its four generations (docs.bunny.net, "Token authentication", and the vendor's SDKs).

    bunny_basic           /a.jpg?token=T&expires=N           T = MD5({secret}{path}{expires}{ip})
    bunny_sha256_legacy   /a.jpg?token=T&…&expires=N         T = SHA256({secret}{path}{expires}{ip}{parameters})
    bunny_hmac            /a.jpg?token=HS256-T&…&expires=N   T = HMAC-SHA256({path}{expires}{parameters}{ip as text})
                          /a.jpg?token=HS256-1-T&…           T = HMAC-SHA256({path}{expires}{ip as bytes}{parameters})

All three write T in base64url without padding. The latter two also travel as a directory,
/bcdn_token=T&…&expires=N/a.jpg. {parameters} are all others, decoded, sorted by name and joined as name=value by "&";
`token_path` stands in place of the path and opens what is below it. Bytes of an address are four, or an IPv6's first
eight and eight zeros. Where the text of an address stands in the second is another question in each of the vendor's
signers: option `order`.

Nothing separates the parts. What holds the borders: an expiry has ten digits, names of parameters have none, a path
has no "=", values have no "&", and `borders.wanders` for the text of an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import quote

from msgspec import Struct

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid, TargetMalformed
from countermark.core.grant import Network
from countermark.core.request import Address, EdgeRequest
from countermark.core.target import Pair, Target, parse_target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.borders import wanders
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
from countermark.signing.primitives import digest, holds, same, sign
from countermark.signing.query import plain, refuse_unsigned

_DENIALS = {
    "signature_missing": Denial(status=403),
    "signature_invalid": Denial(status=403),
    "expired": Denial(status=403),
}
_UNSIGNED = frozenset({"host-unsigned", "method-unsigned"})
_OWN = frozenset(
    {"token", "expires", "token_path", "token_countries", "token_countries_blocked", "token_ignore_params", "limit"}
)
_WRITTEN = frozenset({"token_path", "token_countries", "token_countries_blocked"})
_WAIVERS = frozenset({"encoded-slash", "empty-segment"})

_DIRECTORY = "/bcdn_token="
_HMAC = "HS256-"
_BOUND_HMAC = "HS256-1-"
_NAME = re.compile(r"[A-Za-z][A-Za-z_-]*")
_COUNTRIES = re.compile(r"[A-Z]{2}(?:,[A-Z]{2})*")
_IPV6_BITS = 64

_ORDERS = ("expires,ip,params", "ip,expires,params", "expires,params,ip")
_BINARY = "expires,bytes,params"

_IP = Option(name="ip", kind="bool", default=False, sentence="The token holds the client's address.")
_LIMIT = Option(
    name="unsafe_ignored_limit",
    kind="bool",
    default=False,
    sentence="Takes URLs with a `limit` of kB/s, which is not kept here.",
)


class _Asked(Struct, frozen=True, kw_only=True):
    """A URL of the later generations: its token, the real path, the path that is signed, and what else is signed."""

    token: str
    path: str
    scope: str
    expires: int
    parameters: str
    pairs: tuple[Pair, ...]
    countries: frozenset[str]
    blocked: frozenset[str]


class BunnyBasic:
    """The path until a time, for one address where the site says so."""

    name = "bunny_basic"
    syntax = "native"
    reserved = frozenset({"token", "expires"})
    denials: Mapping[str, Denial] = _DENIALS
    options = (_IP,)
    capabilities = Capabilities(
        title="Bunny CDN, basic token",
        page="bunny",
        source="https://docs.bunny.net/docs/cdn-token-authentication-basic",
        algorithms=("md5",),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
        least_secret=16,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        pairs = {pair.name: pair for pair in target.pairs}
        if "token" not in pairs or _is_another(pairs["token"].value, self.name, realm):
            return None
        refuse_unsigned(pairs.keys() - self.reserved)
        if "expires" not in pairs:
            raise ParameterInvalid("expires is required beside token.")
        expires = read_expiry("expires", plain(pairs["expires"]))
        address = ip_network(request.client) if realm.flag(self.name, "ip") else None
        bound = str(request.client) if address else ""
        _hold_the_address(target.path, str(expires), bound)
        return Presented(
            signature=_token(plain(pairs["token"]), 16),
            key_id="",
            path=target.path,
            pairs=(),
            message=f"{target.path}\n{expires}\n{bound}".encode(),
            expires=expires,
            address=address,
            confidence=_UNSIGNED | {"md5", "query-unsigned"},
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        glued = key.material + presented.message.replace(b"\n", b"")
        return key.algorithm == "md5" and same(digest(key, glued), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        path, expires, address = presented.message.decode().split("\n")
        shown = (("secret", "{secret}"), ("path", path), ("expires", expires), ("ip", address))
        return tuple((name, text) for name, text in shown if text)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        address = _ordered_address(self.name, realm.flag(self.name, "ip"), order)
        if target.query is not None:
            raise ParameterInvalid("A basic Bunny token does not sign a query.")
        token = digest(key, key.material + f"{target.path}{order.expires}{address or ''}".encode())
        return f"{target.path}?token={base64url(token)}&expires={order.expires}"


class BunnySHA256Legacy:
    """Path or prefix and parameters until a time, as of 2020."""

    name = "bunny_sha256_legacy"
    syntax = "native"
    reserved = _OWN
    denials: Mapping[str, Denial] = _DENIALS
    options = (
        _IP,
        Option(
            name="order",
            kind="str",
            default=_ORDERS[0],
            sentence="Of what follows the path: the PHP and Node signers' (and the first C# one's), the later C# one's, "
            "Python's.",
            choices=_ORDERS,
        ),
        _LIMIT,
    )
    capabilities = Capabilities(
        title="Bunny CDN, SHA-256 token of 2020",
        page="bunny",
        source="https://github.com/BunnyWay/BunnyCDN.TokenAuthentication",
        algorithms=("sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=False,
        binds=frozenset({"geo"}),
        forms=("text_secret", "secret"),
        least_secret=16,
        waivers=_WAIVERS,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        asked = _read(request.target, self.name, realm)
        if asked is None:
            return None
        address = ip_network(request.client) if realm.flag(self.name, "ip") else None
        bound = str(request.client) if address else ""
        order = realm.text(self.name, "order")
        return _presented(asked, _token(asked.token, 32), order, bound, address)

    def holds(self, presented: Presented, key: Key) -> bool:
        held = [same(digest(key, key.material + signed), presented.signature) for signed in _signed(presented.message)]
        return key.algorithm == "sha256" and any(held)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return ("secret", "{secret}"), *_parts(presented.message)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        address = _ordered_address(self.name, realm.flag(self.name, "ip"), order, takes=_EXTRAS)
        wire = realm.text(self.name, "order")

        def token(message: bytes) -> str:
            return base64url(digest(key, key.material + _signed(message)[0]))

        return _minted(target, order, wire, "" if address is None else str(address), token)


class BunnyHMAC:
    """Path or prefix and parameters until a time, as of 2026: bound to an address where the token says so."""

    name = "bunny_hmac"
    syntax = "native"
    reserved = _OWN
    denials: Mapping[str, Denial] = _DENIALS
    options = (
        Option(
            name="bound",
            kind="bool",
            default=False,
            sentence="Refuses tokens that are not bound to an address.",
        ),
        Option(
            name="text_ip",
            kind="bool",
            default=False,
            sentence="Tokens without `1-` hold the text of the client's address, as those of April 2026 did.",
        ),
        _LIMIT,
    )
    capabilities = Capabilities(
        title="Bunny CDN, HMAC token",
        page="bunny",
        source="https://github.com/BunnyWay/BunnyCDN.TokenAuthentication",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=True,
        prefix=True,
        key_ids=False,
        binds=frozenset({"geo"}),
        forms=("text_secret", "secret"),
        least_secret=16,
        waivers=_WAIVERS,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        asked = _read(request.target, self.name, realm)
        if asked is None:
            return None
        if asked.token.startswith(_BOUND_HMAC):
            address, wire = _network(request.client), _BINARY
            return _presented(
                asked, _token(asked.token[len(_BOUND_HMAC) :], 32), wire, str(address.network_address), address
            )
        text_ip = realm.flag(self.name, "text_ip")
        if realm.flag(self.name, "bound") and not text_ip:
            raise SignatureInvalid("This site's tokens are bound to an address.")
        bound = ip_network(request.client) if text_ip else None
        text = str(request.client) if text_ip else ""
        token = asked.token.removeprefix(_HMAC) if asked.token.startswith(_HMAC) else ""
        return _presented(asked, _token(token, 32), _ORDERS[2], text, bound)

    def holds(self, presented: Presented, key: Key) -> bool:
        held = [holds(key, signed, presented.signature) for signed in _signed(presented.message)]
        return key.algorithm == "hmac-sha256" and any(held)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        return _parts(presented.message)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"address", *_EXTRAS}))
        text_ip = realm.flag(self.name, "text_ip")
        if order.address is None and (text_ip or realm.flag(self.name, "bound")):
            raise ParameterInvalid("This site binds its tokens to an address, and none was given (--ip).")
        address = "" if order.address is None else str(_single(order.address))
        binary = bool(address) and not text_ip
        wire, mark = (_BINARY, _BOUND_HMAC) if binary else (_ORDERS[2], _HMAC)
        bound = str(_network(ip_address(address)).network_address) if binary else address

        def token(message: bytes) -> str:
            return mark + base64url(sign(key, _signed(message)[0]))

        return _minted(target, order, wire, bound, token)


_EXTRAS = frozenset({*_WRITTEN, "directory"})
"""Words of an order: `directory` (any text) asks for the directory form, the others are the vendor's parameters."""


def _read(target: Target, name: str, realm: Realm) -> _Asked | None:
    path, pairs = _carried(target)
    named = {pair.name: pair for pair in pairs}
    if "token" not in named or _is_another(named["token"].value, name, realm):
        return None
    if "expires" not in named:
        raise ParameterInvalid("expires is required beside token.")
    if "limit" in named and not realm.flag(name, _LIMIT.name):
        raise ParameterInvalid("limit is known but not supported yet.")
    signed = sorted([pair for pair in pairs if pair.name not in {"token", "expires"}], key=lambda pair: pair.name)
    _hold_the_borders(path, signed)
    if "token_ignore_params" in named:
        _refuse_ignored(named)
    scope = named["token_path"].value if "token_path" in named else path
    _hold_the_scope(scope, path)
    return _Asked(
        token=plain(named["token"]),
        path=path,
        scope=scope,
        expires=read_expiry("expires", plain(named["expires"])),
        parameters=_joined(signed),
        pairs=tuple([pair for pair in pairs if pair.name not in _OWN]),
        countries=_countries(named, "token_countries"),
        blocked=_countries(named, "token_countries_blocked"),
    )


def _presented(asked: _Asked, token: bytes, wire: str, bound: str, address: Network | None) -> Presented:
    _hold_the_text(asked, wire, bound)
    return Presented(
        signature=token,
        key_id="",
        path=asked.path,
        pairs=asked.pairs,
        message="\n".join((wire, asked.scope, str(asked.expires), bound, asked.parameters)).encode(),
        expires=asked.expires,
        address=address,
        countries=asked.countries,
        blocked_countries=asked.blocked,
        confidence=_UNSIGNED,
    )


def _signed(message: bytes) -> list[bytes]:
    """What the vendor hashes: one text, or two where an IPv6 address may be written short or in full."""
    wire, scope, expires, address, parameters = message.decode().split("\n")
    texts = [address]
    if ":" in address and wire != _BINARY:
        texts.append(IPv6Address(address).exploded)
    return [_glued(wire, scope, expires, text, parameters) for text in texts]


def _glued(wire: str, scope: str, expires: str, address: str, parameters: str) -> bytes:
    packed = ip_address(address).packed if wire == _BINARY else b""
    by_name = {"expires": expires.encode(), "ip": address.encode(), "bytes": packed, "params": parameters.encode()}
    return scope.encode() + b"".join([by_name[name] for name in wire.split(",")])


def _parts(message: bytes) -> tuple[tuple[str, str], ...]:
    wire, scope, expires, address, parameters = message.decode().split("\n")
    by_name = {"expires": expires, "ip": address, "bytes": address, "params": parameters}
    return ("path", scope), *((name, by_name[name]) for name in wire.split(",") if by_name[name])


def _carried(target: Target) -> tuple[str, tuple[Pair, ...]]:
    """The real path and the pairs, wherever they stand."""
    path, pairs = target.path, target.pairs
    if path.startswith(_DIRECTORY):
        segment, _, rest = path[1:].partition("/")
        refuse_unsigned(pair.name for pair in pairs)
        path, pairs = f"/{rest}", parse_target(f"/?{segment.removeprefix('bcdn_')}").pairs
    # The rules of core/target.py are waived for the directory form's first segment alone.
    if "%2F" in path.upper():
        raise TargetMalformed("The path must not hold an encoded slash (%2F).", rule="encoded-slash")
    if "//" in path:
        raise TargetMalformed("The path must not hold an empty segment.", rule="empty-segment")
    return path, pairs


def _is_another(token: str, name: str, realm: Realm) -> bool:
    """Whether the token has the shape of another generation that this realm takes too."""
    shapes = {22: "bunny_basic", 43: "bunny_sha256_legacy"}
    generation = "bunny_hmac" if token.startswith(_HMAC) else shapes.get(len(token), name)
    return generation != name and generation in realm.dialects


def _hold_the_borders(path: str, signed: list[Pair]) -> None:
    """Refuse what could be read as another path, other parameters or other values: see the module's docstring."""
    if "=" in path:
        raise ParameterInvalid("Write '=' as %3D in the path.")
    for pair in signed:
        if not _NAME.fullmatch(pair.name):
            raise ParameterUnknown(f"No parameter is called '{pair.name[:40]}' here.")
        if not pair.value or "&" in pair.value:
            raise ParameterInvalid(f"{pair.name[:40]} must have a value, without '&' in it.")
        # The decoded value is hashed: without this rule a signed URL has endless spellings.
        if pair.raw != _written(pair.name, pair.value):
            raise ParameterInvalid("Parameters escape every byte but A-Z a-z 0-9 - . _ ~ as %XX in upper case.")


def _refuse_ignored(named: Mapping[str, Pair]) -> None:
    """What is not signed must neither steer the picture nor widen or narrow the grant."""
    if named["token_ignore_params"].value != "true":
        raise ParameterInvalid("token_ignore_params must be true.")
    refuse_unsigned(named.keys() - {"token", "expires", "token_ignore_params"})


def _hold_the_scope(scope: str, path: str) -> None:
    """Refuse a path outside of the signed one.

    The vendor compares characters, so that /abc opens /abcd too. Here a scope ends at a slash: without one it covers
    itself and what is below it.
    """
    if not scope.startswith("/") or "=" in scope:
        raise ParameterInvalid("token_path must be a path without '='.")
    if path != scope and not path.startswith(f"{scope.removesuffix('/')}/"):
        raise SignatureInvalid("The signature does not belong to this URL.", private="the path is not below token_path")


def _hold_the_text(asked: _Asked, wire: str, address: str) -> None:
    """Refuse every cut between an address as text and its neighbours but one."""
    if not address or wire == _BINARY:
        return
    expires = str(asked.expires)
    if wire == _ORDERS[1]:
        moved = wanders(asked.scope, "", address)
    elif wire == _ORDERS[2] and asked.parameters:
        # The last value, without the one character that it keeps: none is empty.
        last = asked.parameters.rpartition("&")[2].partition("=")[2][1:]
        moved = wanders(last, "", address)
    else:
        # An IPv6 address and a name such as `blur` have letters in common.
        moved = wanders(asked.scope, expires, address) or (":" in address and asked.parameters[:1] in tuple("abcdef"))
    if moved:
        raise _ambiguous()


def _hold_the_address(path: str, expires: str, address: str) -> None:
    if address and wanders(path, expires, address):
        raise _ambiguous()


def _ambiguous() -> ParameterInvalid:
    return ParameterInvalid(
        "The path or a parameter and the client's address could be cut elsewhere: end it otherwise."
    )


def _countries(named: Mapping[str, Pair], name: str) -> frozenset[str]:
    if name not in named:
        return frozenset()
    if not _COUNTRIES.fullmatch(named[name].value):
        raise ParameterInvalid(f"{name} must be two-letter countries in upper case, joined by commas.")
    return frozenset(named[name].value.split(","))


def _token(text: str, size: int) -> bytes:
    token = read_base64url(text)
    if token is None or len(token) != size:
        raise SignatureInvalid("token is not a token of this generation.")
    return token


def _network(client: Address) -> Network:
    """The client's address, or the /64 around it: what a token as bytes names."""
    return ip_network((client, _IPV6_BITS), strict=False) if client.version == 6 else ip_network(client)


def _single(address: Address | Network) -> Address:
    network = ip_network(address)
    if network.num_addresses != 1:
        raise ParameterInvalid("A Bunny token is bound to one address and to no network.")
    return network.network_address


def _ordered_address(
    dialect: str, bound: bool, order: MintOrder, *, takes: frozenset[str] = frozenset()
) -> Address | None:
    refuse_unfillable(dialect, order, takes=takes | ({"address"} if bound else set()))
    if bound and order.address is None:
        raise ParameterInvalid("This site binds its Bunny tokens to an address, and none was given (--ip).")
    return None if order.address is None else _single(order.address)


def _minted(target: Target, order: MintOrder, wire: str, address: str, token: Callable[[bytes], str]) -> str:
    refuse_reserved(target, _OWN)
    given = {pair.name: pair.value for pair in target.pairs}
    given |= {name: order.extras[name] for name in _WRITTEN if name in order.extras}
    signed = [Pair(name, value, _written(name, value)) for name, value in sorted(given.items())]
    _hold_the_borders(target.path, signed)
    scope = given.get("token_path", target.path)
    message = "\n".join((wire, scope, str(order.expires), address, _joined(signed))).encode()
    middle = "".join(f"{pair.raw}&" for pair in signed)
    query = f"token={token(message)}&{middle}expires={order.expires}"
    return f"/bcdn_{query}{target.path}" if "directory" in order.extras else f"{target.path}?{query}"


def _joined(signed: list[Pair]) -> str:
    return "&".join([f"{pair.name}={pair.value}" for pair in signed])


def _written(name: str, value: str) -> str:
    return f"{quote(name, safe='')}={quote(value, safe='')}"
