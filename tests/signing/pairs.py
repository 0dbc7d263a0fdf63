"""Key pairs for tests: made once, the same on every run of a process."""

from __future__ import annotations

from functools import cache
from typing import Any

from countermark.keys.keyring import Algorithm, Key
from countermark.keys.material import new_private, public_of


@cache
def _pair(kind: str) -> tuple[bytes, bytes]:
    private = new_private(kind)
    return public_of(kind, private), private


def pair_key(key_id: str, dialect: str, algorithm: Algorithm, **more: Any) -> Key:
    """A key that signs and verifies."""
    public, private = _pair("rsa-sha256" if algorithm.startswith("rsa") else algorithm)
    return Key(id=key_id, dialect=dialect, algorithm=algorithm, material=public, private=private, **more)
