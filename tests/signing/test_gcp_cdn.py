"""Google Cloud CDN: URLs, prefixes and cookies."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    CountermarkError,
    Expired,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.gcp_cdn import COOKIE, GCPCDN, GCPCDNCookie
from countermark.signing.primitives import sign
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

KEY = Key(id="my-key", dialect="gcp_cdn", algorithm="hmac-sha1", material=b"sixteen bytes 16")
COOKIE_KEY = Key(id="cookie-key", dialect="gcp_cdn_cookie", algorithm="hmac-sha1", material=b"other 16 bytes 2")
KEYRING = Keyring([KEY, COOKIE_KEY])
HOST = "https://img.example.com"
REALM = realm_with("gcp_cdn", base_url=HOST)
COOKIE_REALM = realm_with("gcp_cdn_cookie", base_url=HOST)


def mint(target: str, *, prefix: str = "", where: Realm = REALM) -> str:
    order = MintOrder(now=NOW, expires=LATER, extras={"prefix": prefix} if prefix else {})
    return GCPCDN().mint(parse_target(target), where, KEY, order)


def opened(url: str, where: Realm = REALM) -> Claims:
    return check(url, where, keyring=KEYRING)


def cookie(prefix: str) -> dict[str, str]:
    text = f"URLPrefix={urlsafe_b64encode(prefix.encode()).decode()}:Expires={LATER}:KeyName=cookie-key"
    return {"cookie": f"a=b; {COOKIE}={text}:Signature={urlsafe_b64encode(sign(COOKIE_KEY, text.encode())).decode()}"}


def test_a_signed_url_is_read_back() -> None:
    """Its operations with it; it ends at its end and not after it."""
    claims = opened(mint("/img/a.jpg?w=100"))
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/img/a.jpg", ["w=100"])
    with pytest.raises(Expired):
        check(mint("/img/a.jpg"), REALM, keyring=KEYRING, now=LATER)


def test_the_host_is_the_settings_and_signed() -> None:
    """A URL of another host is refused; without a configured one every URL is."""
    url = mint("/img/a.jpg")
    for base_url in ("https://other.example.com", "http://img.example.com", ""):
        with pytest.raises(SignatureInvalid):
            opened(url, realm_with("gcp_cdn", base_url=base_url))


@pytest.mark.parametrize("path", ["/foo", "/foo/a.jpg", "/foo/b/c.jpg"])
def test_a_prefix_opens_what_is_below_it(path: str) -> None:
    """And itself, but no operations."""
    assert opened(mint(path, prefix=f"{HOST}/foo")).pairs == ()


@pytest.mark.parametrize("path", ["/foobar", "/foobar/a.jpg", "/fo", "/Foo/a.jpg", "/foo%2Ejpg"])
def test_a_prefix_does_not_open_its_siblings(path: str) -> None:
    """The vendor compares characters; here a prefix ends at a slash."""
    with pytest.raises(SignatureInvalid):
        opened(mint(path, prefix=f"{HOST}/foo"))


@pytest.mark.parametrize(
    "prefix", ["http://", "https:/", "https://img.example.co", "/foo", "https://img.example.com.evil/"]
)
def test_a_prefix_holds_the_whole_host(prefix: str) -> None:
    """Though it is signed: a prefix that cuts the host would be a key to others."""
    with pytest.raises(SignatureInvalid):
        opened(mint("/foo", prefix=prefix))


def test_what_stands_beside_a_prefix_is_refused_or_ignored() -> None:
    """It is anybody's, so it never steers the picture."""
    url = mint("/foo/a.jpg", prefix=f"{HOST}/foo/").replace("?", "?w=1&")
    with pytest.raises(ParameterUnknown):
        opened(url)
    lenient = realm_with("gcp_cdn", base_url=HOST, options={"gcp_cdn": {"unsafe_ignored_query": True}})
    assert opened(url, lenient).pairs == ()


def test_the_fields_have_their_order() -> None:
    """Signature last, as signed; a second place would be a second spelling."""
    path, _, query = mint("/a.jpg?w=1").partition("?")
    w, expires, key, signature = query.split("&")
    for pairs in ([expires, key, signature, w], [w, key, expires, signature], [expires, w, key, signature]):
        with pytest.raises(ParameterInvalid):
            opened(f"{path}?{'&'.join(pairs)}")


def test_an_unsigned_url_is_refused() -> None:
    """The vendor's edge would let it pass to the origin."""
    with pytest.raises(SignatureMissing):
        opened("/a.jpg")
    assert GCPCDN().denials["signature_missing"].status == 403


def test_a_key_of_the_other_dialect_opens_nothing() -> None:
    """URLs and cookies have keys of their own."""
    with pytest.raises(SignatureInvalid):
        opened(mint("/a.jpg").replace("my-key", "cookie-key"))


def test_a_cookie_opens_what_is_below_its_prefix() -> None:
    """Whoever has it, and no one who only has the URL."""
    claims = check("/foo/a.jpg", COOKIE_REALM, keyring=KEYRING, headers=cookie(f"{HOST}/foo/"))
    assert (claims.path, claims.from_headers, claims.expires) == ("/foo/a.jpg", True, LATER)
    with pytest.raises(SignatureMissing):
        check("/foo/a.jpg", COOKIE_REALM, keyring=KEYRING)


@pytest.mark.parametrize("target", ["/foobar/a.jpg", "/a.jpg", "/foo/a.jpg?w=1"])
def test_a_cookie_opens_nothing_else(target: str) -> None:
    """No sibling, and no operation, for a cookie signs none."""
    with pytest.raises(CountermarkError):
        check(target, COOKIE_REALM, keyring=KEYRING, headers=cookie(f"{HOST}/foo"))


@given(at=st.integers(0, 400), character=st.characters(min_codepoint=0x21, max_codepoint=0x7E))
def test_a_changed_cookie_opens_nothing(at: int, character: str) -> None:
    """Whatever byte of its value."""
    headers = cookie(f"{HOST}/foo/")["cookie"]
    start = headers.index("=", 5) + 1
    place = start + at % (len(headers) - start)
    changed = headers[:place] + character + headers[place + 1 :]
    if changed == headers:
        return
    with pytest.raises(CountermarkError):
        check("/foo/a.jpg", COOKIE_REALM, keyring=KEYRING, headers={"cookie": changed})


def test_a_cookie_is_not_minted_as_a_url() -> None:
    """And is said so."""
    with pytest.raises(ParameterInvalid):
        GCPCDNCookie().mint(parse_target("/a"), COOKIE_REALM, COOKIE_KEY, MintOrder(now=NOW, expires=LATER))


@pytest.mark.parametrize("prefix", ["", f"{HOST}/img/17/a1.jpg"])
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(prefix: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller; below a prefix, below it."""
    url = mint("/img/17/a1.jpg", prefix=prefix) if prefix else mint("/img/17/a1.jpg?w=17&h=21")
    if not prefix:
        opens_nothing_else(url, REALM, KEYRING, data)
        return
    at = data.draw(st.integers(0, len(url) - 1))
    changed = url[:at] + data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E)) + url[at + 1 :]
    try:
        claims = opened(changed)
    except CountermarkError:
        return
    assert (claims.path, claims.pairs, claims.expires) == ("/img/17/a1.jpg", (), LATER)
