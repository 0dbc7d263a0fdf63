"""imgix's signed URLs, https://docs.imgix.com/setup/securing-images.

    {path}?{query}&s={MD5 of secret, path, "?" and query, in hexadecimal}

Path and query as sent; without a query there is no "?". `s` stands last. `expires` is a parameter like the others. A path
may be a whole percent-encoded URL (a web proxy source).

The secret stands first, so MD5 can be extended: what would have to follow the text are bytes that no target may hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Target
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
from countermark.signing.primitives import digest, same

_BYTES = 16
_WEAK = frozenset({"md5", "host-unsigned", "method-unsigned"})
_ENCODED = re.compile(r"https?%3A%2F%2F", re.IGNORECASE)


class Imgix:
    """Path and query under one MD5."""

    name = "imgix"
    syntax = "imgix"
    reserved = frozenset({"s", "expires"})
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=404),
    }
    options: tuple[Option, ...] = (MAY_BE_ENDLESS,)
    capabilities = Capabilities(
        title="imgix",
        page="imgix",
        source="https://docs.imgix.com/setup/securing-images",
        algorithms=("md5",),
        signs_path=True,
        signs_query=True,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        forms=("text_secret", "secret"),
        least_secret=8,
        waivers=frozenset({"encoded-slash"}),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        if all(pair.name != "s" for pair in target.pairs):
            return None
        *pairs, last = target.pairs
        signature = read_hex(last.raw.removeprefix("s="))
        if last.name != "s":
            raise ParameterInvalid("s must be the last parameter.")
        if signature is None or len(signature) != _BYTES:
            raise SignatureInvalid("s is not a signature: 32 lower-case hexadecimal digits.")
        expires = [pair for pair in pairs if pair.name == "expires"]
        image = realm.behind_prefix(target.path) or ""
        return Presented(
            signature=signature,
            key_id="",
            path=target.path,
            pairs=tuple([pair for pair in pairs if pair.name != "expires"]),
            message=_message(target.path, "&".join([pair.raw for pair in pairs])),
            expires=read_expiry("expires", expires[0].value) if expires else None,
            source=unquote(image) if _ENCODED.match(image) else "",
            confidence=_WEAK,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "md5" and same(digest(key, key.material + presented.message), presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        path, _, query = presented.message.decode().partition("?")
        return ("secret", "{secret}"), ("path", path), ("query", query)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        refuse_reserved(target, self.reserved)
        query = f"{target.query}&expires={order.expires}" if target.query else f"expires={order.expires}"
        return f"{target.path}?{query}&s={digest(key, key.material + _message(target.path, query)).hex()}"


def _message(path: str, query: str) -> bytes:
    return f"{path}?{query}".encode() if query else path.encode()
