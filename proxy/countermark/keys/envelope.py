"""Sealing small secrets at rest: AES-256-GCM (NIST SP 800-38D), the nonce before the ciphertext."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
_TAG_BYTES = 16


def seal(key: bytes, plain: bytes, *, context: bytes, nonce: bytes) -> bytes:
    """Nonce, ciphertext and tag. `context` is authenticated and not kept: what is sealed for one place opens in no other.

    `nonce` is 12 random bytes: one that came twice under a key would lay both texts open (SP 800-38D §8.2.2 bounds a key
    to 2^32 of them).
    """
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(f"sealing takes a key of {KEY_BYTES} bytes and a nonce of {NONCE_BYTES}")
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, sealed: bytes, *, context: bytes) -> bytes:
    """What was sealed with this key and context. Raises ValueError for anything else, changed by a bit or cut."""
    if len(key) != KEY_BYTES or len(sealed) < NONCE_BYTES + _TAG_BYTES:
        raise ValueError("this was not sealed with this key")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except InvalidTag:
        raise ValueError("this was not sealed with this key, or for another place") from None
