"""Strict text encodings of bytes: exactly one spelling is read for each value.

The standard decoders skip characters that they do not know and ignore the bits that are left over at the end, so that
a 32-byte value has 4 spellings in 43 characters and a 16-byte value has 16 in 22. A signature with several spellings
defeats caches, revocation lists and logs; here what is read must be what would be written.
"""

from __future__ import annotations

from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode


def base64url(data: bytes) -> str:
    """RFC 4648 §5, without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def base64(data: bytes) -> str:
    """RFC 4648 §4, with padding."""
    return b64encode(data).decode("ascii")


def read_base64url(text: str) -> bytes | None:
    """The bytes of a canonical base64url text without padding, None for every other text."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if base64url(data) == text else None


def read_base64(text: str) -> bytes | None:
    """The bytes of a canonical base64 text with padding, None for every other text."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64(data) == text else None


def read_hex(text: str) -> bytes | None:
    """The bytes of a lower-case hexadecimal text, None for every other text."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None
    return data if data.hex() == text else None
