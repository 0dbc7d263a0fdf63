"""imgproxy: what stands in the path, and what its lenience would have opened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.core.encoding import base64url
from countermark.core.errors import (
    ConfigurationInvalid,
    Expired,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.imgproxy import Imgproxy
from countermark.signing.primitives import mac
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

KEY = Key(id="i", dialect="imgproxy", algorithm="hmac-sha256", material=bytes(range(32)), salt=b"salt")
RING = Keyring([KEY])
PATH = "/rs:fill:300:200/plain/https://origin.test/a.jpg@webp"


def where(**options: Value) -> Realm:
    return realm_with("imgproxy", options={"imgproxy": options}, sources=("https://origin.test/",))


def signed(path: str, key: Key = KEY, size: int = 32) -> str:
    return f"/{base64url(mac(key, key.salt + path.encode())[:size])}{path}"


def test_source_and_options_are_handed_on() -> None:
    """Options by name, the extension as one of them, the source as the URL it is."""
    claims = check(signed(PATH), where(), keyring=RING)
    assert (claims.source, claims.syntax, claims.expires) == ("https://origin.test/a.jpg", "imgproxy", None)
    assert [pair.raw for pair in claims.pairs] == ["rs:fill:300:200", "ext:webp"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/plain/local:///a%2520b.jpg", "local:///a%20b.jpg"),
        ("/plain/https://origin.test/a%40b.jpg", "https://origin.test/a@b.jpg"),
        ("/aHR0cHM6/Ly9vcmlnaW4udGVzdC9hL2IuanBn.png", "https://origin.test/a/b.jpg"),
        ("/aHR0cHM6Ly9vcmlnaW4udGVzdC9hL2IuanBn", "https://origin.test/a/b.jpg"),
        ("/plain/folder/a.jpg", "folder/a.jpg"),
        ("/asd", "base64:asd"),
        ("/_____w", "base64:_____w"),
    ],
)
def test_a_source_is_unwrapped_once(path: str, source: str) -> None:
    """Its own escapes stay; what is no text is left as a scheme that no site has."""
    assert check(signed(path), where(), keyring=RING).source == source


@pytest.mark.parametrize(
    "path",
    [
        "/plain/", "/w:1/", "/plain/a@b@c", "/plain/a@", "/YQ.png.webp", "/YQ.", "/enc/abc", "/w:1",
        f"/exp:{LATER}/exp:{LATER}/plain/a", "/pr:a/pr:b/plain/a", "/w:1/pr:a/plain/a", "/pr:a:b/plain/a",
    ],
)  # fmt: skip
def test_a_path_that_says_nothing_clear_is_refused(path: str) -> None:
    """No source, two extensions, an encrypted source, a preset that would override."""
    with pytest.raises(ParameterInvalid):
        check(signed(path), where(), keyring=RING)


def test_an_expiry_holds_and_is_told_of_authentic_urls_only() -> None:
    """exp is an option; it is checked after the signature."""
    assert check(signed(f"/exp:{LATER}/plain/a.jpg"), where(), keyring=RING).expires == LATER
    with pytest.raises(Expired):
        check(signed(f"/exp:{NOW - 1}/plain/a.jpg"), where(), keyring=RING)
    with pytest.raises(SignatureInvalid):
        check(f"/{base64url(bytes(32))}/exp:{NOW - 1}/plain/a.jpg", where(), keyring=RING)


def test_a_query_is_refused() -> None:
    """Nothing signs it, and every query would be another address of the same picture."""
    with pytest.raises(ParameterUnknown):
        check(signed(PATH) + "?x=1", where(), keyring=RING)


@pytest.mark.parametrize("word", ["unsafe", "insecure", "_"])
def test_the_words_for_unsigned_open_nothing(word: str) -> None:
    """They count as no signature at all."""
    with pytest.raises(SignatureMissing):
        check(f"/{word}{PATH}", where(), keyring=RING)


def test_the_url_does_not_choose_the_size_of_its_signature() -> None:
    """A short signature opens only where the site wants exactly that length."""
    with pytest.raises(SignatureInvalid):
        check(signed(PATH, size=16), where(), keyring=RING)
    assert "truncated" in check(signed(PATH, size=16), where(signature_size=16), keyring=RING).confidence
    assert check(signed(PATH, size=8), where(unsafe_signature_size=8), keyring=RING).source
    with pytest.raises(SignatureInvalid):
        check(signed(PATH), where(signature_size=16), keyring=RING)


@pytest.mark.parametrize("options", [{"signature_size": 8}, {"signature_size": 33}, {"unsafe_signature_size": 4}])
def test_a_size_out_of_bounds_is_a_fault_of_the_settings(options: dict[str, Value]) -> None:
    """Eight bytes only under the name that says so, fewer never."""
    with pytest.raises(ConfigurationInvalid):
        check(signed(PATH), where(**options), keyring=RING)


def test_several_pairs_of_key_and_salt_are_tried() -> None:
    """Any of them opens; a key with another pair's salt does not."""
    second = replace(KEY, id="second", material=bytes(32), salt=b"pepper")
    ring = Keyring([KEY, second])
    assert check(signed(PATH, second), where(), keyring=ring).key_id == "second"
    with pytest.raises(SignatureInvalid):
        check(signed(PATH, replace(KEY, salt=b"pepper")), where(), keyring=ring)


def test_presets_can_be_all_that_is_taken() -> None:
    """Then the first segment is a preset's name, and an option is no source."""
    claims = check(signed("/thumb/plain/a.jpg"), where(only_presets=True), keyring=RING)
    assert (claims.preset, claims.pairs, claims.source) == ("thumb", (), "a.jpg")


def test_minted_urls_are_read_back() -> None:
    """With an expiry, behind the site's prefix, with a preset first."""
    site = realm_with("imgproxy", prefix="/img/")
    order = MintOrder(now=NOW, expires=LATER)
    url = Imgproxy().mint(parse_target("/img/pr:thumb/w:300/plain/a.jpg"), site, KEY, order)
    claims = check(url, site, keyring=RING)
    assert (claims.expires, claims.preset, claims.source) == (LATER, "thumb", "a.jpg")
    only = Imgproxy().mint(parse_target("/thumb/plain/a.jpg"), where(only_presets=True), KEY, order)
    assert check(only, where(only_presets=True), keyring=RING).preset == "thumb"
    with pytest.raises(ParameterInvalid):
        Imgproxy().mint(parse_target("/other/a.jpg"), site, KEY, order)


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(signed(f"/exp:{LATER}/w:17{PATH}"), where(), RING, data)
