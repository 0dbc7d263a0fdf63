"""imgix: one spelling, one order, web proxy sources."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.core.errors import CountermarkError, Expired, ParameterInvalid, SignatureInvalid
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder
from countermark.signing.imgix import Imgix
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

KEY = Key(id="x", dialect="imgix", algorithm="md5", material=b"imgix-secret")
RING = Keyring([KEY])
WHERE = realm_with("imgix")


def signed(text: str) -> str:
    """The text may say more than the path: what is hashed is what stands there."""
    mark = "&" if "?" in text else "?"
    return f"{text}{mark}s={hashlib.md5(KEY.material + text.encode(), usedforsecurity=False).hexdigest()}"


def test_path_query_and_expiry_are_handed_on() -> None:
    """Operations without expires and s."""
    claims = check(signed(f"/a.jpg?w=100&expires={LATER}&fit=crop"), WHERE, keyring=RING)
    assert (claims.path, claims.expires, claims.source) == ("/a.jpg", LATER, "")
    assert [pair.raw for pair in claims.pairs] == ["w=100", "fit=crop"]
    with pytest.raises(Expired):
        check(signed(f"/a.jpg?expires={NOW - 1}"), WHERE, keyring=RING)


def test_a_web_proxy_path_is_a_source() -> None:
    """Unwrapped once; its own escapes stay."""
    claims = check(signed("/https%3A%2F%2Forigin.test%2Fa%2520b.jpg"), WHERE, keyring=RING)
    assert claims.source == "https://origin.test/a%20b.jpg"


def test_a_signature_has_one_spelling_and_stands_last() -> None:
    """Lower case, unescaped, behind all that it signs."""
    url = signed("/a.jpg?w=1")
    for spelling in (url[:-32] + url[-32:].upper(), url.replace("&s=", "&%73="), url[:-1]):
        with pytest.raises(CountermarkError):
            check(spelling, WHERE, keyring=RING)
    with pytest.raises(ParameterInvalid):
        check(f"{url}&h=1", WHERE, keyring=RING)


def test_an_extended_hash_cannot_be_sent() -> None:
    """The padding of MD5 is bytes that a target never holds."""
    with pytest.raises(CountermarkError):
        check("/a.jpg%80%00%00?w=1&s=" + "0" * 32, WHERE, keyring=RING)


def test_a_key_of_another_algorithm_opens_nothing() -> None:
    """Bound to MD5."""
    with pytest.raises(SignatureInvalid):
        check(signed("/a.jpg"), WHERE, keyring=Keyring([replace(KEY, algorithm="hmac-sha256")]))


def test_minted_urls_are_read_back() -> None:
    """With an expiry, with and without operations."""
    order = MintOrder(now=NOW, expires=LATER)
    for raw in ("/a.jpg", "/a.jpg?w=1"):
        assert check(Imgix().mint(parse_target(raw), WHERE, KEY, order), WHERE, keyring=RING).expires == LATER
    with pytest.raises(ParameterInvalid):
        Imgix().mint(parse_target("/a.jpg?s=1"), WHERE, KEY, order)


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(signed(f"/img/17/a.jpg?w=17&expires={LATER}"), WHERE, RING, data)
