"""The keyring: keys by id, bound to one dialect, one algorithm and the sites that they may open."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Algorithm = Literal["hmac-sha256", "ed25519", "md5"]
State = Literal["pending", "active", "retiring", "revoked"]


class Key(Struct, frozen=True, kw_only=True):
    """One key. `material` is the shared secret or the raw public key, `private` the raw private key where we may sign.

    sites        names of the sites it opens; ("*",) is every site
    not_before, not_after   unix seconds within which its signatures count, None is open
    max_life     seconds that a signature may live at most, counted from now
    """

    id: str
    dialect: str
    algorithm: Algorithm
    material: bytes
    private: bytes = b""
    sites: tuple[str, ...] = ("*",)
    state: State = "active"
    not_before: int | None = None
    not_after: int | None = None
    max_life: int = 7 * 86_400
