"""The envelope: what it seals opens with its key and its place, and with nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.keys.envelope import KEY_BYTES, NONCE_BYTES, seal, unseal

KEY = bytes(range(KEY_BYTES))
NONCE = bytes(NONCE_BYTES)


def test_is_aes_256_gcm_as_published() -> None:
    """Test case 14 of McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)"."""
    sealed = seal(bytes(32), bytes(16), context=b"", nonce=bytes(12))
    assert sealed[12:].hex() == "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919"


@given(plain=st.binary(max_size=100), context=st.binary(max_size=100), nonce=st.binary(min_size=12, max_size=12))
def test_opens_what_it_sealed(plain: bytes, context: bytes, nonce: bytes) -> None:
    """Every text comes back for the context that it was sealed for."""
    assert unseal(KEY, seal(KEY, plain, context=context, nonce=nonce), context=context) == plain


def test_opens_in_no_other_place() -> None:
    """A seed that is copied to another session stays closed."""
    with pytest.raises(ValueError, match="another place"):
        unseal(KEY, seal(KEY, b"seed", context=b"session a", nonce=NONCE), context=b"session b")


def test_every_changed_bit_keeps_it_closed() -> None:
    """Nonce, ciphertext and tag are all covered."""
    sealed = seal(KEY, b"seed", context=b"here", nonce=NONCE)
    for position in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(ValueError):
            unseal(KEY, bytes(changed), context=b"here")


@pytest.mark.parametrize("sealed", [b"", bytes(12), bytes(27)])
def test_what_is_cut_stays_closed(sealed: bytes) -> None:
    """A text too short to hold nonce and tag is refused, not read beyond its end."""
    with pytest.raises(ValueError):
        unseal(KEY, sealed, context=b"")


def test_takes_no_short_key_or_nonce() -> None:
    """A key or nonce of another length is a mistake of ours and never weakens the seal."""
    with pytest.raises(ValueError):
        seal(bytes(16), b"seed", context=b"", nonce=NONCE)
    with pytest.raises(ValueError):
        seal(KEY, b"seed", context=b"", nonce=bytes(8))
