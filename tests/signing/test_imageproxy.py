"""imageproxy: what a signature leaves free, and its expiry."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64url
from countermark.core.errors import (
    CountermarkError,
    Expired,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder
from countermark.signing.imageproxy import ImageProxy
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

KEY = Key(id="p", dialect="imageproxy", algorithm="hmac-sha256", material=b"imageproxy-secret")
RING = Keyring([KEY])
WHERE = realm_with("imageproxy", sources=("https://origin.test/",))
REMOTE = "https://origin.test/17/a.jpg"


def text(message: str) -> str:
    return base64url(hmac.digest(KEY.material, message.encode(), "sha256")) + "="


def signed(options: str, canonical: str) -> str:
    return f"/{options},s{text(f'{REMOTE}#{canonical}')}/{REMOTE}"


def test_options_and_source_are_handed_on() -> None:
    """In whatever order they stand; the size in full."""
    claims = check(signed("r90,100,q75,fit", "100x100,fit,q75,r90"), WHERE, keyring=RING)
    assert (claims.source, claims.expires) == (REMOTE, None)
    assert [(pair.name, pair.value) for pair in claims.pairs] == [
        ("r", "90"),
        ("size", "100x100"),
        ("q", "75"),
        ("fit", ""),
    ]


def test_a_signature_of_the_url_alone_opens_no_option() -> None:
    """At the vendor's it opens every one, and lets the expiry be dropped."""
    alone = text(REMOTE)
    assert check(f"/s{alone}/{REMOTE}", WHERE, keyring=RING).pairs == ()
    with pytest.raises(SignatureInvalid):
        check(f"/100x100,s{alone}/{REMOTE}", WHERE, keyring=RING)
    with pytest.raises(SignatureInvalid):
        check(f"/vu{LATER},s{alone}/{REMOTE}", WHERE, keyring=RING)


def test_a_url_is_over_at_its_own_second() -> None:
    """One second earlier it opens."""
    url = signed(f"vu{LATER}", f"0x0,vu{LATER}")
    assert check(url, WHERE, keyring=RING, now=LATER - 1).expires == LATER
    with pytest.raises(Expired):
        check(url, WHERE, keyring=RING, now=LATER)


@pytest.mark.parametrize("options", ["0100", "1e3", "q75,q75", "q075", "fog", "1.50x2", ""])
def test_options_have_one_spelling(options: str) -> None:
    """Unknown words, repetitions and other spellings of a number are refused."""
    with pytest.raises((ParameterInvalid, ParameterUnknown)):
        check(signed(options, options), WHERE, keyring=RING)


@pytest.mark.parametrize("remote", ["https%3A%2F%2Forigin.test/a", "aHR0cHM6Ly9v", "a.jpg", "file:///etc/x"])
def test_a_remote_is_a_plain_url(remote: str) -> None:
    """Escaped, wrapped and relative ones would be more spellings of it."""
    with pytest.raises(CountermarkError):
        check(f"/100,s{text(remote)}/{remote}", WHERE, keyring=RING)


def test_no_signature_and_a_query_are_refused() -> None:
    """An open server is none of ours."""
    with pytest.raises(SignatureMissing):
        check(f"/100x100,sc/{REMOTE}", WHERE, keyring=RING)
    with pytest.raises(ParameterUnknown):
        check(signed("100", "100x100") + "?a=1", WHERE, keyring=RING)


def test_minted_urls_are_read_back() -> None:
    """With an expiry, in canonical order."""
    order = MintOrder(now=NOW, expires=LATER)
    url = ImageProxy().mint(parse_target(f"/q75,100/{REMOTE}", waive=frozenset({"empty-segment"})), WHERE, KEY, order)
    claims = check(url, WHERE, keyring=RING)
    assert (claims.expires, [pair.raw for pair in claims.pairs]) == (LATER, ["100x100", "q75"])
    with pytest.raises(ParameterInvalid):
        ImageProxy().mint(parse_target("/a"), WHERE, KEY, order)


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(signed(f"q75,100x20,vu{LATER}", f"100x20,q75,vu{LATER}"), WHERE, RING, data)
