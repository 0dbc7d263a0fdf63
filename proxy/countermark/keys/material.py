"""Key material as people write it: secrets in the spellings of their vendors, key pairs raw, as DER or as PEM."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from countermark.core.encoding import read_base64url

Form = Literal["secret", "text_secret", "hex_secret", "base64_secret"]

PAIRS = frozenset({"ed25519", "ecdsa-p256", "rsa-sha1", "rsa-sha256"})
"""Algorithms that have a key pair."""

_RSA_BITS = 2048
_ED25519_BYTES = 32
_KINDS = {
    "ed25519": (Ed25519PublicKey, Ed25519PrivateKey),
    "ecdsa-p256": (EllipticCurvePublicKey, EllipticCurvePrivateKey),
    "rsa-sha1": (RSAPublicKey, RSAPrivateKey),
    "rsa-sha256": (RSAPublicKey, RSAPrivateKey),
}


def read_form(form: Form, text: str) -> bytes | None:
    """The bytes of a shared secret in one of its spellings; None or nothing where it is not spelled so."""
    if form == "secret":
        return read_base64url(text)
    if form == "text_secret":
        return text.encode()
    try:
        if form == "hex_secret":
            return binascii.unhexlify(text)
        return b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        return None


def read_half(half: str, algorithm: str, text: str, *, pem: bool) -> bytes:
    """The public or private half of a key pair as a Key holds it, or ValueError with a sentence."""
    if algorithm == "ed25519" and not pem:
        return _raw(text)
    public = half == "public"
    try:
        data = text.encode() if pem else b64decode(text, validate=True)
        if public:
            key: object = load_pem_public_key(data) if pem else load_der_public_key(data)
        else:
            key = load_pem_private_key(data, None) if pem else load_der_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"must be a {half} key, as {'PEM' if pem else 'base64 DER'} and without a password") from None
    if not isinstance(key, _KINDS[algorithm][0 if public else 1]):
        raise ValueError(f"must be a key for {algorithm}")
    _refuse_weak(key)
    return _public_bytes(key) if public else _private_bytes(key)


def public_of(algorithm: str, private: bytes) -> bytes:
    """The public half of a private one, both as a Key holds them."""
    if algorithm == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    key = load_der_private_key(private, None)
    assert isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey)
    return _public_bytes(key.public_key())


def new_private(algorithm: str) -> bytes:
    """A new private key."""
    if algorithm == "ed25519":
        return Ed25519PrivateKey.generate().private_bytes_raw()
    if algorithm == "ecdsa-p256":
        return _private_bytes(generate_ec(SECP256R1()))
    return _private_bytes(generate_rsa(65537, 3072))


def _raw(text: str) -> bytes:
    raw = read_base64url(text)
    if not raw:
        raise ValueError("must be base64url without padding")
    if len(raw) != _ED25519_BYTES:
        raise ValueError(f"must be {_ED25519_BYTES} bytes")
    return raw


def _refuse_weak(key: object) -> None:
    if isinstance(key, RSAPublicKey | RSAPrivateKey) and key.key_size < _RSA_BITS:
        raise ValueError(f"is too short: an RSA key has at least {_RSA_BITS} bits")
    if isinstance(key, EllipticCurvePublicKey | EllipticCurvePrivateKey) and not isinstance(key.curve, SECP256R1):
        raise ValueError("must be a key on the curve P-256")


def _public_bytes(key: object) -> bytes:
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    assert isinstance(key, EllipticCurvePublicKey | RSAPublicKey)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _private_bytes(key: object) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.private_bytes_raw()
    assert isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
