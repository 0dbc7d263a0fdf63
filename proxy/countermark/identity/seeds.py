"""A session's signing seed: sealed while it is kept, a native signing key while it is used.

Sealed text: KEY_ID:NONCE‖CIPHERTEXT‖TAG, KEY_ID being that of the keyring's sealing key (dialect `session`). Session id and
generation are authenticated with it, so that whoever can write to the store cannot put one session's seed in the place of
another's, nor bring back the seed of an earlier generation.
"""

from __future__ import annotations

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.identity.session import Session
from countermark.keys.envelope import seal, unseal
from countermark.keys.keyring import Key, Keyring

SEED_BYTES = 32


def seal_seed(keyring: Keyring, seed: bytes, *, id: str, generation: int, nonce: bytes, now: float) -> bytes:
    """The sealed text for `Session.sealed`. `nonce` is 12 random bytes.

    Raises ConfigurationInvalid where the keyring has no active sealing key.
    """
    key = keyring.sealing(now)
    if key is None:
        message = (
            "there is no active key of the dialect session, which seals sessions' seeds; "
            "`countermark keys new --dialect session` makes one"
        )
        raise ConfigurationInvalid([Fault(path="keys", message=message)])
    return key.id.encode() + b":" + seal(key.material, seed, context=_context(id, generation), nonce=nonce)


def open_seed(keyring: Keyring, session: Session, *, now: float) -> bytes:
    """The seed of a session. Raises ValueError where the key that sealed it is neither active nor retiring."""
    key_id, _, sealed = session.sealed.partition(b":")
    key = keyring.unsealing(key_id.decode("ascii", "replace"), now)
    if key is None:
        raise ValueError(f"the key that sealed the seed of session {session.id} opens nothing any more")
    return unseal(key.material, sealed, context=_context(session.id, session.generation))


def session_key(session: Session, seed: bytes) -> Key:
    """The key by which a client signs in this session: native, HMAC-SHA-256, for its one site and until its end.

    Whether the session still lives, and whether its generation is the one that a URL names, is the caller's to compare.
    """
    return Key(
        id=session.key_id,
        dialect="native",
        algorithm="hmac-sha256",
        material=seed,
        sites=(session.site,),
        not_after=session.expires,
        max_life=max(1, session.expires - int(session.created)),
    )


def _context(id: str, generation: int) -> bytes:
    return f"countermark-session-v1\n{id}\n{generation}".encode()
