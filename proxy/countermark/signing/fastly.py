"""Fastly's sample of token authentication (github.com/fastly/token-functions, VCL and signers).

    /img/a.jpg?token={expires}_{mac}        mac = hex HMAC-SHA1({path}{expires})

The path as sent, without its query; the expiry in unix seconds, in decimal. The secret is base64 in the vendor's VCL.
"""

from __future__ import annotations

from collections.abc import Mapping

from countermark.core.encoding import read_hex
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import Capabilities, Denial, MintOrder, Presented, Realm, refuse_unfillable
from countermark.signing.expiry import read_expiry
from countermark.signing.primitives import holds, sign
from countermark.signing.query import plain, refuse_unsigned

_MAC_BYTES = 20


class FastlyToken:
    """The path until a time."""

    name = "fastly_token"
    syntax = "native"
    reserved = frozenset({"token"})
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=410),
    }
    options: tuple[Option, ...] = ()
    capabilities = Capabilities(
        title="Fastly, sample token",
        page="fastly_token",
        source="https://github.com/fastly/token-functions",
        algorithms=("hmac-sha1",),
        signs_path=True,
        signs_query=False,
        signs_host=False,
        signs_method=False,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=False,
        forms=("base64_secret", "secret"),
        least_secret=20,
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        pairs = {pair.name: pair for pair in target.pairs}
        if "token" not in pairs:
            return None
        refuse_unsigned(pairs.keys() - self.reserved)
        expiry, _, signature = plain(pairs["token"]).partition("_")
        # Nothing separates path and expiry: only the ten digits keep a token for /img/17 from opening /img/1.
        expires = read_expiry("The expiry in token", expiry)
        return Presented(
            signature=_mac(signature),
            key_id="",
            path=target.path,
            pairs=(),
            message=f"{target.path}{expires}".encode(),
            expires=expires,
            confidence=frozenset({"sha1", "host-unsigned", "method-unsigned", "query-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha1" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        text = presented.message.decode()
        return ("path", text[:-10]), ("expires", text[-10:])

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order)
        if target.query is not None:
            raise ParameterInvalid("A Fastly token does not sign a query.")
        signature = sign(key, f"{target.path}{order.expires}".encode())
        return f"{target.path}?token={order.expires}_{signature.hex()}"


def _mac(text: str) -> bytes:
    signature = read_hex(text)
    if signature is None or len(signature) != _MAC_BYTES:
        raise SignatureInvalid("token is not a token: an expiry, _ and 40 hexadecimal digits in lower case.")
    return signature
