"""KeyCDN Secure Token, both of its modes (keycdn.com/support/secure-token and /blog/signing-image-processing, 2021).

    keycdn_image    {path}?{query}&token={t}            t = MD5({path}{query}{secret})
    keycdn_access   {path}?token={t}&expire={unix}      t = MD5({path}{secret}{expire}), with {ip} where option `ip` is on

MD5 in base64url without padding; path and query as sent. Where the client's address goes in the second mode is not
published: it is taken to stand last, and option `token` says so where a zone does it otherwise. A zone of that vendor
is in one mode; a site here may accept both.

Nothing separates the hashed parts, so the reader has to hold the borders: see `_hold_the_border` and `read_expiry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid, TransformRefused
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
from countermark.signing.endless import ALWAYS_ENDLESS
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import digest, same

IMAGE_PARAMETERS = frozenset(
    {"trim", "crop", "width", "height", "fit", "position", "enlarge", "bg", "extend", "rotate", "flip", "flop"}
    | {"sharpen", "blur", "gamma", "negate", "normalize", "threshold", "tint", "grayscale", "removealpha"}
    | {"olurl", "olalign", "olx", "oly", "olwidth", "olheight", "olalpha", "olrepeat"}
    | {"format", "quality", "progressive", "compression", "adaptive", "alphaquality", "lossless", "nearlossless"}
    | {"metadata"}
)
"""All parameters of keycdn.com/support/image-processing (edition of August 2023)."""

_DENIALS = {
    "signature_missing": Denial(status=403),
    "signature_invalid": Denial(status=403),
    "expired": Denial(status=410),
}

_TOKEN_BYTES = 16
_WEAK = frozenset({"md5", "host-unsigned", "method-unsigned"})
# The secret or the fixed length of the expiry stands at every border: {ip} beside {path} would let digits wander.
_TEMPLATES = ("{path}{secret}{expire}{ip}", "{path}{secret}{ip}{expire}", "{path}{expire}{secret}{ip}")


class KeyCDNImage:
    """Signed image processing: path and operations, for ever."""

    name = "keycdn_image"
    syntax = "keycdn"
    reserved = frozenset({"token"})
    denials: Mapping[str, Denial] = _DENIALS
    options: tuple[Option, ...] = (ALWAYS_ENDLESS,)
    capabilities = Capabilities(
        title="KeyCDN, signed image processing",
        page="keycdn",
        source="https://www.keycdn.com/blog/signing-image-processing",
        algorithms=("md5",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=False,
        address=False,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
        least_secret=8,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        names = {pair.name for pair in target.pairs}
        if "token" not in names or _belongs_to_access(names, realm):
            return None
        *pairs, last = target.pairs
        if last.name != "token":
            raise ParameterInvalid("token must be the last parameter.")
        _refuse_unknown(names - IMAGE_PARAMETERS - self.reserved)
        if not pairs or target.path.endswith("/"):
            raise TransformRefused("A signed KeyCDN image URL names a picture and at least one operation.")
        _hold_the_border(target.path, pairs)
        query = "&".join([pair.raw for pair in pairs])
        return Presented(
            signature=_token(last),
            key_id="",
            path=target.path,
            pairs=tuple(pairs),
            message=f"{target.path}\n{query}".encode(),
            confidence=_WEAK,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        path, query = presented.message.split(b"\n")
        return key.algorithm == "md5" and same(digest(key, path + query + key.material), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        path, query = presented.message.decode().split("\n")
        return ("path", path), ("query", query), ("secret", "{secret}")

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        return mint_keycdn_image(target, key=key)


class KeyCDNAccess:
    """Access control: the path, until a time, for one address where the site says so."""

    name = "keycdn_access"
    syntax = "keycdn"
    reserved = frozenset({"token", "expire"})
    denials: Mapping[str, Denial] = _DENIALS
    options = (
        Option(name="ip", kind="bool", default=False, sentence="The token holds the client's address."),
        Option(
            name="token",
            kind="str",
            default=_TEMPLATES[0],
            sentence="The order of what is hashed; {ip} is empty where `ip` is off.",
            choices=_TEMPLATES,
        ),
    )
    capabilities = Capabilities(
        title="KeyCDN, access control",
        page="keycdn",
        source="https://www.keycdn.com/support/secure-token",
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
        least_secret=8,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        pairs = {pair.name: pair for pair in target.pairs}
        if "token" not in pairs or _belongs_to_image(set(pairs), realm):
            return None
        # Only the path is hashed: an operation beside it would be anybody's choice.
        _refuse_unknown(pairs.keys() - self.reserved)
        if "expire" not in pairs:
            raise ParameterInvalid("expire is required beside token.")
        expires = read_expiry("expire", _plain(pairs["expire"]))
        address = ip_network(request.client) if realm.flag(self.name, "ip") else None
        bound = str(request.client) if address else ""
        template = realm.text(self.name, "token")
        return Presented(
            signature=_token(pairs["token"]),
            key_id="",
            path=target.path,
            pairs=(),
            message=f"{template}\n{target.path}\n{expires}\n{bound}".encode(),
            expires=expires,
            address=address,
            confidence=_WEAK | {"query-unsigned"},
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "md5" and same(digest(key, _glued(presented.message, key)), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        template, path, expires, address = presented.message.decode().split("\n")
        texts = {"path": path, "secret": "{secret}", "expire": expires, "ip": address}
        return tuple((name, texts[name]) for name in _names(template) if texts[name])

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        bound = realm.flag(self.name, "ip")
        refuse_unfillable(self.name, order, takes=frozenset({"address"} if bound else ()))
        if bound and order.address is None:
            raise ParameterInvalid("This site binds its KeyCDN tokens to an address, and none was given (--ip).")
        if isinstance(order.address, IPv4Network | IPv6Network):
            raise ParameterInvalid("A KeyCDN token is bound to one address, never to a network.")
        address = "" if order.address is None else str(order.address)
        template = realm.text(self.name, "token")
        return mint_keycdn_access(target, key=key, expires=order.expires, address=address, template=template)


def mint_keycdn_image(target: Target, *, key: Key) -> str:
    """A KeyCDN image-processing URL: path and query as they stand, and the token of them."""
    refuse_reserved(target, KeyCDNImage.reserved)
    if not target.query:
        raise ParameterInvalid("A KeyCDN image URL needs at least one operation.")
    token = digest(key, f"{target.path}{target.query}".encode() + key.material)
    return f"{target.path}?{target.query}&token={base64url(token)}"


def mint_keycdn_access(
    target: Target, *, key: Key, expires: int, address: str = "", template: str = _TEMPLATES[0]
) -> str:
    """A KeyCDN access-control URL: the path until a time, for one address where the site binds it."""
    if target.query is not None:
        raise ParameterInvalid("A KeyCDN access URL has no operations.")
    token = digest(key, _glued(f"{template}\n{target.path}\n{expires}\n{address}".encode(), key))
    return f"{target.path}?token={base64url(token)}&expire={expires}"


def _names(template: str) -> list[str]:
    return template[1:-1].split("}{")


def _glued(message: bytes, key: Key) -> bytes:
    template, path, expires, address = message.split(b"\n")
    texts = {"path": path, "secret": key.material, "expire": expires, "ip": address}
    return b"".join(texts[name] for name in _names(template.decode()))


def _belongs_to_access(names: set[str], realm: Realm) -> bool:
    return "expire" in names and "keycdn_access" in realm.dialects


def _belongs_to_image(names: set[str], realm: Realm) -> bool:
    return "expire" not in names and "keycdn_image" in realm.dialects


def _hold_the_border(path: str, pairs: list[Pair]) -> None:
    """Refuse every split of the hashed text into path and query but one.

    The "?" is not hashed. A token for /a.jpg.b.jpg?width=1 is also one for /a.jpg?.b.jpgwidth=1, which is another
    picture: the closed list of names stops that. One for /a.jpg?width=1&trim=2 is also one for /a.jpgwidth=1&?trim=2: no
    path has a "=". One for /a?olwidth=1 is also one for /aol?width=1: the longest name wins.
    """
    if "=" in path or any(not pair.raw.startswith(f"{pair.name}=") for pair in pairs):
        raise ParameterInvalid(
            "Write '=' as %3D in the path, and operations as name=value without escapes in the name."
        )
    first = pairs[0].name
    glued = path + first
    if any(glued.endswith(name) for name in IMAGE_PARAMETERS if len(name) > len(first)):
        raise ParameterInvalid("The end of the path and the first operation read as another operation; reorder them.")


def _refuse_unknown(names: set[str]) -> None:
    if names:
        raise ParameterUnknown(f"These parameters are not understood here: {', '.join(sorted(names))[:200]}.")


def _plain(pair: Pair) -> str:
    """The value, if it is written without escapes: the hash does not cover this pair, so it gets one spelling."""
    if pair.raw != f"{pair.name}={pair.value}":
        raise ParameterInvalid(f"{pair.name} must be written without percent escapes.")
    return pair.value


def _token(pair: Pair) -> bytes:
    signature = read_base64url(_plain(pair))
    if signature is None or len(signature) != _TOKEN_BYTES:
        raise SignatureInvalid("token is not a token: 22 characters of base64url without padding.")
    return signature
