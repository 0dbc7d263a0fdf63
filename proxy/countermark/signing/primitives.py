"""The cryptography that dialects share: each function takes the key's algorithm from the key, never from the request.

Nothing here looks at the size of keys: `keys/keyfile.py` refuses weak ones when they are loaded.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyring import HASHES, MACS, Key


def holds(key: Key, message: bytes, signature: bytes) -> bool:
    """Whether this is the key's whole MAC or signature of the message. A key of a glued hash has neither."""
    if key.algorithm in MACS:
        return hmac.compare_digest(mac(key, message), signature)
    if key.algorithm == "ed25519":
        return ed25519_holds(key.material, message, signature)
    if key.algorithm == "ecdsa-p256":
        return ecdsa_holds(key.material, message, signature)
    if key.algorithm in ("rsa-sha1", "rsa-sha256"):
        return rsa_holds(key.material, message, signature, SHA1() if key.algorithm == "rsa-sha1" else SHA256())  # noqa: S303 - what the vendor signs with
    return False


def mac(key: Key, message: bytes) -> bytes:
    """The HMAC (RFC 2104) of a message by a key of one of the hmac algorithms."""
    return hmac.digest(key.material, message, MACS[key.algorithm])


def digest(key: Key, glued: bytes) -> bytes:
    """The hash of parts into which the dialect has glued the key's secret, by a key of md5, sha1 or sha256."""
    return hashlib.new(HASHES[key.algorithm], glued, usedforsecurity=False).digest()


def same(expected: bytes, presented: bytes) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(expected, presented)


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the key's signature of these bytes (RFC 8032); any other length or encoding is not."""
    try:
        _ed25519(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def ecdsa_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """ECDSA with SHA-256 over P-256 (FIPS 186-5), by SPKI DER; the signature in strict DER, the only spelling taken."""
    try:
        # Lax parsers read longer lengths and padded integers too, which gives one signature endless spellings.
        if encode_dss_signature(*decode_dss_signature(signature)) != signature:
            return False
    except ValueError:
        return False
    loaded = _loaded(public)
    if not isinstance(loaded, EllipticCurvePublicKey):
        return False
    try:
        loaded.verify(signature, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def der_of(raw: bytes) -> bytes:
    """The DER of an ECDSA signature that is written as r and s, one after the other (IEEE P1363, as WebCrypto does)."""
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


def rsa_holds(public: bytes, message: bytes, signature: bytes, hashed: HashAlgorithm) -> bool:
    """RSASSA-PKCS1-v1_5 (RFC 8017 §8.2), by SPKI DER."""
    loaded = _loaded(public)
    if not isinstance(loaded, RSAPublicKey):
        return False
    try:
        loaded.verify(signature, message, PKCS1v15(), hashed)
    except InvalidSignature:
        return False
    return True


def sign(key: Key, message: bytes) -> bytes:
    """The key's MAC or signature of the message. Raises ConfigurationInvalid where its private half is not here."""
    if key.algorithm in MACS:
        return mac(key, message)
    if not key.private:
        raise ConfigurationInvalid([Fault(path=key.id, message="this key cannot sign: its private half is not here")])
    if key.algorithm == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(key.private).sign(message)
    private = load_der_private_key(key.private, None)
    if isinstance(private, EllipticCurvePrivateKey):
        return private.sign(message, ECDSA(SHA256()))
    assert isinstance(private, RSAPrivateKey)
    return private.sign(message, PKCS1v15(), SHA1() if key.algorithm == "rsa-sha1" else SHA256())  # noqa: S303 - what the vendor verifies with


@lru_cache(maxsize=256)
def _ed25519(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


@lru_cache(maxsize=256)
def _loaded(der: bytes) -> object:
    return load_der_public_key(der)
