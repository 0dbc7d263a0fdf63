"""Cloudinary: what the short text does not cover, and what a token's ACL does."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    Expired,
    NotYetValid,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
    SourceRefused,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.cloudinary import Cloudinary, CloudinaryAuthToken
from countermark.signing.dialect import MintOrder, Realm
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

KEY = Key(id="c", dialect="cloudinary", algorithm="sha256", material=b"cloudinary-api-secret")
TOKEN = Key(id="t", dialect="cloudinary_auth_token", algorithm="hmac-sha256", material=bytes(range(32)))
RING = Keyring([KEY, TOKEN])
TOKENS = realm_with("cloudinary_auth_token", prefix="/demo/")


def where(**options: Value) -> Realm:
    return realm_with("cloudinary", prefix="/demo/", options={"cloudinary": options})


def signed(text: str, *, url: str = "", kind: str = "upload", size: int = 32) -> str:
    """`text` is what is hashed, `url` what is sent where that differs."""
    digest = hashlib.sha256(text.encode() + KEY.material).digest()
    return f"/demo/image/{kind}/s--{urlsafe_b64encode(digest).decode()[:size]}--/{url or text}"


def token(raw: str, **order: Any) -> str:
    return CloudinaryAuthToken().mint(parse_target(raw), TOKENS, TOKEN, MintOrder(now=NOW, expires=LATER, **order))


def test_operations_and_object_are_handed_on() -> None:
    """Components parted, a preset apart, the version dropped."""
    text = "t_thumb,c_fill,w_300/f_auto/img_2024/a.jpg"
    claims = check(signed(text, url=text.replace("img", "v12/img")), where(), keyring=RING)
    assert (claims.source, claims.preset, claims.expires) == ("img_2024/a.jpg", "thumb", None)
    assert [pair.raw for pair in claims.pairs] == ["c_fill", "w_300", "/", "f_auto"]


@pytest.mark.parametrize("url", ["v1/c_fill,w_300/a.jpg", "c_fill,w_300/v1/v2/a.jpg"])
def test_the_unsigned_version_cannot_hide_the_transformation(url: str) -> None:
    """Before a component it would make that a folder, and the bare original would open."""
    with pytest.raises((ParameterInvalid, SignatureInvalid)):
        check(signed("c_fill,w_300/a.jpg", url=url), where(), keyring=RING)


def test_the_site_says_which_types_open() -> None:
    """The text is the same for all of them."""
    with pytest.raises(SourceRefused):
        check(signed("a.jpg", kind="private"), where(), keyring=RING)
    assert check(signed("a.jpg", kind="private"), where(types=("private",)), keyring=RING).source == "a.jpg"


def test_only_fetch_names_a_url() -> None:
    """Plain or escaped."""
    fetch = where(types=("fetch", "upload"))
    for text in ("https://origin.test/a%20b.jpg", "https%3A%2F%2Forigin.test%2Fa%2520b.jpg"):
        claims = check(signed(text, kind="fetch"), fetch, keyring=RING)
        assert claims.source == "https://origin.test/a%20b.jpg"
        with pytest.raises(SourceRefused):
            check(signed(text), fetch, keyring=RING)


def test_short_signatures_open_only_where_the_site_says_so() -> None:
    """48 bits can be guessed; the URL does not choose."""
    with pytest.raises(SignatureInvalid):
        check(signed("a.jpg", size=8), where(), keyring=RING)
    assert check(signed("a.jpg", size=8), where(unsafe_short=True), keyring=RING).source == "a.jpg"
    with pytest.raises(SignatureInvalid):
        check(signed("a.jpg"), where(unsafe_short=True), keyring=RING)


def test_queries_are_refused() -> None:
    """But for the SDKs' own word, where the site says so."""
    with pytest.raises(ParameterUnknown):
        check(signed("a.jpg") + "?_a=BA", where(), keyring=RING)
    assert check(signed("a.jpg") + "?_a=BA", where(unsafe_analytics=True), keyring=RING).pairs == ()
    with pytest.raises(ParameterUnknown):
        check(signed("a.jpg") + "?w=1", where(unsafe_analytics=True), keyring=RING)


@pytest.mark.parametrize("raw", ["/demo/image/upload/a.jpg", "/demo/video/upload/s--12345678--/a.jpg", "/demo/a.jpg"])
def test_other_paths_are_not_signed(raw: str) -> None:
    """No text, or no picture."""
    with pytest.raises(SignatureMissing):
        check(raw, where(), keyring=RING)


def test_minted_urls_are_read_back() -> None:
    """With transformation and version."""
    order = MintOrder(now=NOW, expires=LATER)
    url = Cloudinary().mint(parse_target("/demo/image/upload/w_3/v1/a.jpg"), where(), KEY, order)
    assert check(url, where(), keyring=RING).source == "a.jpg"
    with pytest.raises(ParameterInvalid):
        Cloudinary().mint(parse_target("/demo/a.jpg"), where(), KEY, order)


def test_a_token_opens_its_path_within_its_time_for_its_address() -> None:
    """And says what the path means."""
    raw = "/demo/image/authenticated/w_3/a.jpg"
    claims = check(token(raw), TOKENS, keyring=RING)
    assert (claims.expires, claims.source, [pair.raw for pair in claims.pairs]) == (LATER, "a.jpg", ["w_3"])
    with pytest.raises(Expired):
        check(token(raw), TOKENS, keyring=RING, now=LATER + 1)
    with pytest.raises(NotYetValid):
        check(token(raw, not_before=NOW + 5), TOKENS, keyring=RING)
    with pytest.raises(SignatureInvalid):
        check(token(raw).replace("w_3", "w_4"), TOKENS, keyring=RING)


def test_an_address_is_part_of_a_token() -> None:
    """Another client is refused."""
    url = token("/demo/a.jpg", address=ip_address(CLIENT))
    assert check(url, TOKENS, keyring=RING).address is not None
    with pytest.raises(AddressMismatch):
        check(url, TOKENS, keyring=RING, client="198.51.100.9")


def test_an_acl_opens_what_it_covers() -> None:
    """Stars are stars, all else is literal; nothing outside opens."""
    url = token("/demo/x/a.jpg", extras={"acl": "/demo/x/*!/demo/y.z"})
    assert check(url, TOKENS, keyring=RING).source == "x/a.jpg"
    assert check(url.replace("/demo/x/a.jpg", "/demo/y.z"), TOKENS, keyring=RING).source == "y.z"
    for other in ("/demo/z/a.jpg", "/demo/yaz", "/other/demo/x/a.jpg", "/demo/x"):
        with pytest.raises(CountermarkError):
            check(url.replace("/demo/x/a.jpg", other), TOKENS, keyring=RING)


def test_a_token_in_a_cookie_opens_where_the_site_says_so() -> None:
    """What its ACL covers, for whoever has the cookie, and no parameter beside it; one in the query is none there."""
    by_cookie = realm_with(
        "cloudinary_auth_token", prefix="/demo/", options={"cloudinary_auth_token": {"carrier": "cookie"}}
    )
    url, _, query = token("/demo/x/a.jpg", extras={"acl": "/demo/x/*"}).partition("?")
    headers = {"cookie": f"a=b; {query}"}
    claims = check(url, by_cookie, keyring=RING, headers=headers)
    assert (claims.source, claims.expires, claims.from_headers) == ("x/a.jpg", LATER, True)
    assert check("/demo/x/b.jpg", by_cookie, keyring=RING, headers=headers).source == "x/b.jpg"
    with pytest.raises(SignatureInvalid):
        check("/demo/y/a.jpg", by_cookie, keyring=RING, headers=headers)
    for query_beside in ("?w=1", f"?{query}"):
        with pytest.raises(ParameterUnknown):
            check(url + query_beside, by_cookie, keyring=RING, headers=headers)
    for where_else, credentials in ((by_cookie, {}), (TOKENS, headers)):
        with pytest.raises(SignatureMissing):
            check(url, where_else, keyring=RING, headers=credentials)
    with pytest.raises(SignatureMissing):
        check(f"{url}?{query}", by_cookie, keyring=RING)
    with pytest.raises(ParameterInvalid):
        CloudinaryAuthToken().mint(parse_target(url), by_cookie, TOKEN, MintOrder(now=NOW, expires=LATER))


@pytest.mark.parametrize(
    "text",
    ["exp=1700003600", "hmac=00~exp=1700003600", "exp=+1~hmac=00", "exp=1~exp=2~hmac=00", "exp=1~acl=~hmac=00",
     "exp=1~x=2~hmac=00", "ip=1~exp=1~hmac=" + "0" * 64, "exp=1~hmac=" + "A" * 64,
     "exp=1~acl=" + "*" * 9 + "~hmac=" + "0" * 64],
)  # fmt: skip
def test_a_token_has_one_form(text: str) -> None:
    """Fields in order, each once, plain numbers, a lower-case MAC, few stars."""
    with pytest.raises((ParameterInvalid, SignatureInvalid)):
        check(f"/demo/a.jpg?__cld_token__={text}", TOKENS, keyring=RING)


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(signed("c_fill,w_17/img/17.jpg", url="c_fill,w_17/v1/img/17.jpg"), where(), RING, data)


@given(data=st.data())
def test_a_changed_token_opens_nothing_else(data: st.DataObject) -> None:
    """The same, for a token of one path."""
    opens_nothing_else(token("/demo/image/upload/w_17/v1/img/17.jpg"), TOKENS, RING, data)
