"""KeyCDN Secure Token, both of its modes (keycdn.com/support/secure-token and /blog/signing-image-processing, 2021).

    keycdn_image    {path}?{query}&token={t}            t = MD5({path}{query}{secret})
    keycdn_access   {path}?token={t}&expire={unix}      t = MD5({path}{secret}{expire}), with the option {ip} after it

MD5 in base64url without padding; path and query as sent. Where the client's address goes in the second mode is not
published: it is taken to stand last. A zone of that vendor is in one mode; a site here may accept both.

Nothing separates the hashed parts, so the reader has to hold the borders: see `_hold_the_border` and `read_expiry`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_network

from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid, TransformRefused
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair
from countermark.keys.keyring import Key
from countermark.signing.dialect import Capabilities, Denial, Presented, Realm
from countermark.signing.expiry import read_expiry

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


class KeyCDNImage:
    """Signed image processing: path and operations, for ever."""

    name = "keycdn_image"
    syntax = "keycdn"
    reserved = frozenset({"token"})
    denials: Mapping[str, Denial] = _DENIALS
    capabilities = Capabilities(
        title="KeyCDN, signed image processing",
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
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        path, query = presented.message.split(b"\n")
        return _same(path + query + key.material, presented, key)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        path, query = presented.message.decode().split("\n")
        return ("path", path), ("query", query), ("secret", "{secret}")


class KeyCDNAccess:
    """Access control: the path, until a time, for one address where the site says so."""

    name = "keycdn_access"
    syntax = "keycdn"
    reserved = frozenset({"token", "expire"})
    denials: Mapping[str, Denial] = _DENIALS
    capabilities = Capabilities(
        title="KeyCDN, access control",
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
        address = ip_network(request.client) if realm.options.get("keycdn_ip") else None
        bound = str(request.client) if address else ""
        return Presented(
            signature=_token(pairs["token"]),
            key_id="",
            path=target.path,
            pairs=(),
            message=f"{target.path}\n{expires}\n{bound}".encode(),
            expires=expires,
            address=address,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        path, expires, address = presented.message.split(b"\n")
        return _same(path + key.material + expires + address, presented, key)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        path, expires, address = presented.message.decode().split("\n")
        parts = (("path", path), ("secret", "{secret}"), ("expire", expires))
        return (*parts, ("address", address)) if address else parts


def token(hashed: bytes) -> str:
    """The token of these hashed bytes, secret included."""
    return base64url(hashlib.md5(hashed, usedforsecurity=False).digest())


def _same(hashed: bytes, presented: Presented, key: Key) -> bool:
    if key.algorithm != "md5":
        return False
    return hmac.compare_digest(hashlib.md5(hashed, usedforsecurity=False).digest(), presented.signature)


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
