"""The keyring: who may verify what, and when."""

from __future__ import annotations

import traceback

import msgspec
import pytest

from countermark.keys.keyring import MAX_CANDIDATES, Key, Keyring, State

SECRET = b"a-secret-that-nobody-may-ever-see"


def key(key_id: str = "k1", **facts: object) -> Key:
    return msgspec.structs.replace(Key(id=key_id, dialect="native", algorithm="hmac-sha256", material=SECRET), **facts)


def test_a_key_is_found_by_dialect_site_and_id() -> None:
    """All three must fit."""
    keyring = Keyring([key(sites=("shop",))])
    assert keyring.find("native", "shop", "k1") is not None
    assert keyring.find("native", "blog", "k1") is None
    assert keyring.find("native", "shop", "k2") is None
    assert keyring.find("keycdn_image", "shop", "k1") is None


def test_candidates_are_the_dialects_own_and_eight_at_most() -> None:
    """The work of one request is bounded however many keys there are."""
    keys = [key(f"z{n}", dialect="keycdn_image", sites=("shop",)) for n in range(12)]
    keyring = Keyring([key(), *keys, key("other", dialect="keycdn_image", sites=("blog",))])
    found = keyring.candidates("keycdn_image", "shop")
    assert len(found) == MAX_CANDIDATES
    assert {candidate.dialect for candidate in found} == {"keycdn_image"}
    assert [candidate.id for candidate in keyring.candidates("keycdn_image", "blog")] == ["other"]
    assert keyring.candidates("keycdn_access", "shop") == ()


@pytest.mark.parametrize(
    ("state", "verifies", "signs"),
    [("pending", False, False), ("active", True, True), ("retiring", True, False), ("revoked", False, False)],
)
def test_the_state_decides_what_a_key_may_do(state: State, verifies: bool, signs: bool) -> None:
    """Retiring keys verify and no longer sign; pending and revoked ones do neither."""
    assert key(state=state).verifies(0) is verifies
    assert key(state=state).signs(0) is signs


@pytest.mark.parametrize(("now", "counts"), [(99, False), (100, True), (200, True), (200.5, False)])
def test_a_key_counts_within_its_dates(now: float, counts: bool) -> None:
    """Both ends belong to it."""
    assert key(not_before=100, not_after=200).verifies(now) is counts


def test_no_secret_is_ever_shown() -> None:
    """Not by repr, str, format, rich, a container or a traceback."""
    secret = key(private=b"another-that-nobody-may-ever-see")
    texts = [
        repr(secret),
        str(secret),
        f"{secret}",
        repr([secret]),
        repr(Keyring([secret])),
        str(secret.__rich_repr__()),
    ]
    try:
        raise ValueError(secret)
    except ValueError:
        texts.append(traceback.format_exc())
    for text in texts:
        assert "nobody-may" not in text
        assert "k1" in text or "Keyring" in text


def test_fingerprints_tell_keys_apart_without_showing_them() -> None:
    """Eight digits, different for different keys."""
    assert len(key().fingerprint()) == 8
    assert key().fingerprint() != key(material=b"x" * 32).fingerprint()
