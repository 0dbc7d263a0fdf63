"""Making signed URLs: the counterpart of the dialects' `read`. Each function returns the signed target, path and query.

What is minted here is not checked against dates and lives; pass it through `authenticate` to know that it will be taken.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.core.encoding import base64url
from countermark.core.errors import ConfigurationInvalid, Fault, ParameterInvalid
from countermark.core.grant import Network
from countermark.core.request import Address
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.signing.keycdn import KeyCDNImage, token
from countermark.signing.native import Native, message


def mint_native(
    target: Target,
    *,
    audience: str,
    key: Key,
    expires: int,
    not_before: int | None = None,
    address: Network | None = None,
) -> str:
    """A native URL of this path and these operations, whose escaping is made canonical.

    The pairs come out sorted, so that the same picture always has the same URL. Raises ParameterInvalid where the target
    is signed already, ConfigurationInvalid where the key cannot sign.
    """
    _refuse_reserved(target, Native.reserved - {"th"})
    facts = {"exp": str(expires), "kid": key.id}
    if not_before is not None:
        facts["nbf"] = str(not_before)
    if address is not None:
        single = address.num_addresses == 1
        facts["ip"] = str(address.network_address if single else address)
    pairs = [(pair.name, pair.value) for pair in target.pairs] + list(facts.items())
    written = sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    signed = message(audience, target.path, tuple(Pair("", "", raw) for raw in written))
    return f"{target.path}?{'&'.join(written)}&sig={base64url(sign_bytes(signed, key))}"


def mint_keycdn_image(target: Target, *, key: Key) -> str:
    """A KeyCDN image-processing URL: path and query as they stand, and the token of them."""
    _refuse_reserved(target, KeyCDNImage.reserved)
    if not target.query:
        raise ParameterInvalid("A KeyCDN image URL needs at least one operation.")
    hashed = f"{target.path}{target.query}".encode() + key.material
    return f"{target.path}?{target.query}&token={token(hashed)}"


def mint_keycdn_access(target: Target, *, key: Key, expires: int, address: Address | None = None) -> str:
    """A KeyCDN access-control URL: the path until a time, for one address where the site binds it."""
    if target.query is not None:
        raise ParameterInvalid("A KeyCDN access URL has no operations.")
    bound = "" if address is None else str(address)
    hashed = target.path.encode() + key.material + f"{expires}{bound}".encode()
    return f"{target.path}?token={token(hashed)}&expire={expires}"


def sign_bytes(signed: bytes, key: Key) -> bytes:
    """The key's signature of these bytes: 32 bytes of HMAC-SHA-256 or 64 of Ed25519."""
    if key.algorithm == "hmac-sha256":
        return hmac.digest(key.material, signed, hashlib.sha256)
    if key.algorithm == "ed25519" and key.private:
        return Ed25519PrivateKey.from_private_bytes(key.private).sign(signed)
    raise ConfigurationInvalid([Fault(path=key.id, message="this key cannot sign: its private half is not here")])


def _refuse_reserved(target: Target, reserved: frozenset[str]) -> None:
    present = sorted({pair.name for pair in target.pairs} & reserved)
    if present:
        raise ParameterInvalid(f"These parameters are written by the signer: {', '.join(present)}.")
