"""Seeds: sealed for one session and one generation, by whichever sealing key is the newest."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from countermark.core.errors import ConfigurationInvalid
from countermark.identity.seeds import SEED_BYTES, open_seed, seal_seed, session_key
from countermark.identity.session import Session
from countermark.keys.keyring import Key, Keyring, State

NOW = 1_800_000_000.0
SEED = bytes(range(SEED_BYTES))


def sealing(id: str, state: State = "active", not_before: int | None = None) -> Key:
    """A sealing key whose material is made of its id."""
    material = id.encode().ljust(32, b".")
    return Key(id=id, dialect="session", algorithm="aes-256-gcm", material=material, state=state, not_before=not_before)


def session(keyring: Keyring, *, id: str = "a" * 22, generation: int = 1) -> Session:
    """A session whose seed was sealed with this keyring."""
    sealed = seal_seed(keyring, SEED, id=id, generation=generation, nonce=bytes(12), now=NOW)
    return Session(
        id=id,
        generation=generation,
        sealed=sealed,
        site="shop",
        user="alice",
        created=NOW,
        expires=int(NOW) + 3600,
    )


def test_a_sealed_seed_becomes_the_sessions_key() -> None:
    """Native, for its one site, until the session's end."""
    keyring = Keyring([sealing("m1")])
    kept = session(keyring)
    key = session_key(kept, open_seed(keyring, kept, now=NOW))
    assert (key.material, key.sites, key.not_after) == (SEED, ("shop",), int(NOW) + 3600)
    assert key.id == f"ses_{'a' * 22}.1"
    assert (key.dialect, key.algorithm, key.max_life) == ("native", "hmac-sha256", 3600)


def test_a_seed_does_not_open_in_another_place() -> None:
    """Whoever can write to the store cannot hand one session's seed to another, nor bring an old generation back."""
    keyring = Keyring([sealing("m1")])
    kept = session(keyring)
    for moved in (replace(kept, id="b" * 22), replace(kept, generation=2)):
        with pytest.raises(ValueError, match="another place"):
            open_seed(keyring, moved, now=NOW)


def test_a_retiring_key_opens_what_it_sealed_and_a_revoked_one_does_not() -> None:
    """Rotation loses no session; revoking the sealing key ends all of them."""
    kept = session(Keyring([sealing("m1")]))
    rotated = Keyring([sealing("m1", "retiring"), sealing("m2")])
    assert open_seed(rotated, kept, now=NOW) == SEED
    with pytest.raises(ValueError, match="opens nothing any more"):
        open_seed(Keyring([sealing("m1", "revoked"), sealing("m2")]), kept, now=NOW)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([sealing("m1"), sealing("m2")], b"m2"),
        ([sealing("m2", not_before=int(NOW) - 1), sealing("m1")], b"m2"),
        ([sealing("m1"), sealing("m2", not_before=int(NOW) + 1)], b"m1"),
        ([sealing("m1"), sealing("m2", "pending")], b"m1"),
    ],
)
def test_the_newest_active_key_seals(keys: list[Key], expected: bytes) -> None:
    """By the day from which it counts, and then by its place in the file."""
    assert session(Keyring(keys)).sealed.partition(b":")[0] == expected


def test_without_a_sealing_key_no_session_begins() -> None:
    """And the operator is told the command that makes one."""
    with pytest.raises(ConfigurationInvalid, match="keys new --dialect session"):
        session(Keyring([sealing("m1", "retiring")]))


def test_a_sealing_key_signs_no_url() -> None:
    """It is a candidate of no signature dialect."""
    keyring = Keyring([sealing("m1")])
    assert keyring.find("native", "shop", "m1") is None
