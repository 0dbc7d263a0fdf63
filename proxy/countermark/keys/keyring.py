"""The keyring: keys by id, bound to one dialect, one algorithm and the sites that they may open."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Literal, Protocol

from msgspec import Struct

Algorithm = Literal[
    "hmac-md5", "hmac-sha1", "hmac-sha256", "hmac-sha512", "md5", "sha1", "sha256",
    "ed25519", "ecdsa-p256", "rsa-sha1", "rsa-sha256", "bearer", "aes-256-gcm",
]  # fmt: skip
State = Literal["pending", "active", "retiring", "revoked"]

MACS = {"hmac-md5": "md5", "hmac-sha1": "sha1", "hmac-sha256": "sha256", "hmac-sha512": "sha512"}
"""The hash of each HMAC algorithm."""

HASHES = {"md5": "md5", "sha1": "sha1", "sha256": "sha256"}
"""The hash of each algorithm that glues its secret to what it hashes."""

TOKENS = frozenset({"bearer"})
"""Algorithms of secrets that are sent as they are and sign nothing."""

SEALS = frozenset({"aes-256-gcm"})
"""Algorithms of keys that seal what the gateway keeps, and sign nothing."""

SEALING = "session"
"""The dialect of the keys that seal sessions' seeds. No URL is ever in it."""
MD5: frozenset[Algorithm] = frozenset({"md5", "hmac-md5"})
SHA1: frozenset[Algorithm] = frozenset({"sha1", "hmac-sha1", "rsa-sha1"})
"""Algorithms that still hold for what is signed here, and are no choice for anything new."""

MD5_LIFE = 3600
LIFE = 7 * 86_400

MAX_CANDIDATES = 8
MAX_PUBLIC_CANDIDATES = 4
_VERIFYING: frozenset[State] = frozenset({"active", "retiring"})


def usual_life(algorithm: str) -> int:
    """The longest life, in seconds, that a key's signatures have unless its entry says otherwise.

    An hour for MD5: whoever makes two texts collide has no longer to use the one that was signed for the other.
    """
    return MD5_LIFE if algorithm in MD5 else LIFE


class Key(Struct, frozen=True, kw_only=True):
    """One key. `material` is the shared secret or the public key, `private` the private key where we may sign.

    Ed25519 keys are raw (32 bytes), other key pairs DER: SPKI (RFC 5280 §4.1) and PKCS #8 (RFC 5958).

    salt         what the vendor puts before the signed bytes, kept beside the secret
    sites        names of the sites it opens; ("*",) is every site
    state        pending: verifies from its not_before on, and without one not yet; active: signs and verifies;
                 retiring: verifies only; revoked: neither
    since        unix seconds at which it came into this state, None where nobody wrote it down
    not_before, not_after   unix seconds within which its signatures count, None is open
    max_life     seconds that a signature may live at most, counted from now
    once         it signs one grant, for high risks: whichever of its signatures is presented first spends it
    """

    id: str
    dialect: str
    algorithm: Algorithm
    material: bytes
    private: bytes = b""
    salt: bytes = b""
    sites: tuple[str, ...] = ("*",)
    state: State = "active"
    since: int | None = None
    not_before: int | None = None
    not_after: int | None = None
    max_life: int = LIFE
    once: bool = False

    def opens(self, site: str) -> bool:
        """Whether the key belongs to this site."""
        return site in self.sites or "*" in self.sites

    def verifies(self, now: float) -> bool:
        """Whether its signatures count at this time (unix seconds).

        A pending key with a date does: while it is published, some signer may already have the file that makes it active.
        """
        if self.state not in _VERIFYING and not (self.state == "pending" and self.not_before is not None):
            return False
        if self.not_before is not None and now < self.not_before:
            return False
        return self.not_after is None or now <= self.not_after

    def signs(self, now: float) -> bool:
        """Whether new signatures may be made with it at this time: a retiring key only verifies."""
        return self.state == "active" and self.verifies(now)

    def fingerprint(self) -> str:
        """Eight hexadecimal digits by which people compare keys without seeing them."""
        return hmac.digest(self.material, b"countermark-fingerprint", hashlib.sha256).hex()[:8]

    def __repr__(self) -> str:
        # Key material must never reach a log by way of a traceback or a debug line.
        return f"Key(id={self.id!r}, dialect={self.dialect!r}, algorithm={self.algorithm!r}, state={self.state!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("dialect", self.dialect), ("algorithm", self.algorithm), ("state", self.state)]


class KeySource(Protocol):
    """Where the verify path finds keys, in whatever state they are."""

    def find(self, dialect: str, site: str, key_id: str) -> Key | None:
        """The key of this id, if it is this dialect's and opens this site."""
        ...

    def candidates(self, dialect: str, site: str) -> tuple[Key, ...]:
        """The keys to try where the URL names none."""
        ...


class Keyring:
    """All keys of a gateway."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._by_id = {key.id: key for key in self.keys}
        self._by_dialect: dict[str, list[Key]] = {}
        for key in self.keys:
            self._by_dialect.setdefault(key.dialect, []).append(key)

    def find(self, dialect: str, site: str, key_id: str) -> Key | None:
        """The key of this id, if it is this dialect's and opens this site. It may be out of its dates or revoked."""
        key = self._by_id.get(key_id)
        if key is None or key.dialect != dialect or not key.opens(site):
            return None
        return key

    def candidates(self, dialect: str, site: str) -> tuple[Key, ...]:
        """The keys to try where the URL names none, eight at most, whatever their state."""
        opening = [key for key in self._by_dialect.get(dialect, ()) if key.opens(site)]
        return tuple(opening[:MAX_CANDIDATES])

    def sealing(self, now: float) -> Key | None:
        """The key that seals sessions' seeds now: of the active ones the newest, by its dates and then by its place."""
        active = [key for key in self._by_dialect.get(SEALING, ()) if key.signs(now)]
        return max(reversed(active), key=lambda key: key.since or key.not_before or 0, default=None)

    def unsealing(self, key_id: str, now: float) -> Key | None:
        """The key of this id, if what it sealed may still be opened."""
        key = self._by_id.get(key_id)
        return key if key is not None and key.dialect == SEALING and key.verifies(now) else None

    def __repr__(self) -> str:
        return f"Keyring({len(self.keys)} keys)"
