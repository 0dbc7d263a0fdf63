"""Cloudflare Images: signed URLs of private images (developers.cloudflare.com/images, "Serve private images").

    /{account}/{image}/{variant}?exp={unix}&sig={mac}    mac = hex HMAC-SHA256({path}?{query without sig})

The query is signed as sent and `sig` stands behind it. The key is the text that the dashboard shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Target, decode_path
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
from countermark.signing.endless import MAY_BE_ENDLESS
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import holds, sign
from countermark.signing.query import plain

_MAC_BYTES = 32


class CloudflareImages:
    """Path and query until a time."""

    name = "cloudflare_images"
    syntax = "native"
    reserved = frozenset({"exp", "sig"})
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=403),
    }
    options = (
        Option(
            name="variants",
            kind="bool",
            default=False,
            sentence="The path's last segment names a preset; the picture is what stands before it.",
        ),
        MAY_BE_ENDLESS,
    )
    capabilities = Capabilities(
        title="Cloudflare Images",
        page="cloudflare_images",
        source="https://developers.cloudflare.com/images/manage-images/serve-images/serve-private-images/",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        binds=frozenset({"preset"}),
        forms=("text_secret", "secret"),
        least_secret=16,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        pairs = {pair.name: pair for pair in target.pairs}
        if "sig" not in pairs:
            return None
        *signed, last = target.pairs
        # Taken anywhere else, it would give one URL as many spellings as it has parameters.
        if last.name != "sig":
            raise SignatureInvalid("sig must be the last parameter.")
        path, variant = _split(target.path) if realm.flag(self.name, "variants") else (target.path, "")
        query = "&".join([pair.raw for pair in signed])
        return Presented(
            signature=_mac(plain(last)),
            key_id="",
            path=path,
            pairs=tuple([pair for pair in signed if pair.name != "exp"]),
            message=f"{target.path}?{query}".encode(),
            expires=read_expiry("exp", plain(pairs["exp"])) if "exp" in pairs else None,
            preset=variant,
            confidence=frozenset({"host-unsigned", "method-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha256" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        path, _, query = presented.message.decode().partition("?")
        return ("path", path), ("query", query)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        refuse_reserved(target, self.reserved)
        query = f"{target.query}&exp={order.expires}" if target.query else f"exp={order.expires}"
        signed = f"{target.path}?{query}"
        return f"{signed}&sig={sign(key, signed.encode()).hex()}"


def _split(path: str) -> tuple[str, str]:
    """The picture's path and the variant behind it."""
    picture, _, variant = path.rpartition("/")
    if not picture or not variant:
        raise ParameterInvalid("The path ends with the name of a variant.")
    return picture, decode_path(variant)


def _mac(text: str) -> bytes:
    signature = read_hex(text)
    if signature is None or len(signature) != _MAC_BYTES:
        raise SignatureInvalid("sig is not a signature: 64 hexadecimal digits in lower case.")
    return signature
