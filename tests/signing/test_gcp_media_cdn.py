"""Media CDN: prefixes, globs, headers and ranges hold what they name."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.core.encoding import base64url
from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    Expired,
    NotYetValid,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import sign
from countermark.signing.table import DIALECTS
from tests.signing.mutations import MUTATIONS, opens_nothing_else
from tests.signing.pairs import pair_key
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

BASE = "https://img.example.com"
URL = pair_key("my-key", "gcp_media_cdn", "ed25519")
COOKIE = pair_key("my-cookie", "gcp_media_cdn_cookie", "ed25519")
TOKEN = pair_key("token", "gcp_media_cdn_token", "ed25519")
MAC = Key(id="mac", dialect="gcp_media_cdn_token", algorithm="hmac-sha256", material=bytes(range(32)))
OLD = Key(id="old", dialect="gcp_media_cdn_token", algorithm="hmac-sha1", material=bytes(range(1, 33)))
KEYRING = Keyring([URL, COOKIE, TOKEN, MAC, OLD])


def site(dialect: str, **options: Any) -> Realm:
    return realm_with(dialect, options={dialect: options}, base_url=BASE)


def minted(target: str, key: Key = URL, **order: Any) -> str:
    made = MintOrder(now=NOW, **{"expires": LATER, **order})
    return DIALECTS[key.dialect].mint(parse_target(target), site(key.dialect), key, made)


def token(*fields: str, signed: str = "", key: Key = MAC) -> str:
    text = "~".join(fields)
    return f"edge-cache-token={text}~hmac={sign(key, (signed or text).encode()).hex()}"


def test_a_url_is_signed_wholly() -> None:
    """Path and operations; its expiry itself is too late."""
    target = minted("/a/b.jpg?w=8&h=9")
    claims = check(target, site("gcp_media_cdn"), keyring=KEYRING)
    assert (claims.path, [pair.raw for pair in claims.pairs], claims.expires) == ("/a/b.jpg", ["w=8", "h=9"], LATER)
    with pytest.raises(Expired):
        check(target, site("gcp_media_cdn"), keyring=KEYRING, now=LATER)
    with pytest.raises(SignatureInvalid):
        check(target, replace(site("gcp_media_cdn"), base_url="https://other.example.com"), keyring=KEYRING)


@pytest.mark.parametrize("key", [URL, TOKEN, MAC], ids=lambda key: key.id)
def test_a_prefix_covers_what_lies_below_it(key: Key) -> None:
    """Neither a sibling nor an operation that nobody signed."""
    tail = minted("/shop/a.jpg", key, extras={"prefix": "/shop/"}).partition("?")[2]
    where = site(key.dialect)
    assert check(f"/shop/x/y.jpg?{tail}", where, keyring=KEYRING).path == "/shop/x/y.jpg"
    with pytest.raises(SignatureInvalid):
        check(f"/shops/a.jpg?{tail}", where, keyring=KEYRING)
    with pytest.raises(ParameterUnknown):
        check(f"/shop/a.jpg?w=9&{tail}", where, keyring=KEYRING)
    unsafe = site(key.dialect, unsafe_unsigned_operations=True)
    assert [pair.raw for pair in check(f"/shop/a.jpg?w=9&{tail}", unsafe, keyring=KEYRING).pairs] == ["w=9"]


@pytest.mark.parametrize("prefix", ["/sho", "", "/shop/?x/"])
def test_a_prefix_ends_with_a_slash_behind_the_host(prefix: str) -> None:
    """Siblings are covered only where the site says so, other hosts never."""
    target = minted("/shop/a.jpg", extras={"prefix": prefix})
    with pytest.raises(ParameterInvalid):
        check(target, site("gcp_media_cdn"), keyring=KEYRING)
    unsafe = site("gcp_media_cdn", unsafe_prefix_siblings=True)
    if prefix == "/sho":
        assert check(target, unsafe, keyring=KEYRING)
        return
    with pytest.raises((ParameterInvalid, SignatureInvalid)):
        check(target, unsafe, keyring=KEYRING)


@pytest.mark.parametrize(
    "changed",
    [
        lambda target: target + "&w=9",
        lambda target: target.replace("Expires=1700003600&KeyName=my-key", "KeyName=my-key&Expires=1700003600"),
        lambda target: target.replace("KeyName=my-key&", ""),
        lambda target: target.replace("KeyName=my-key", "KeyName=my%2Dkey"),
        lambda target: target.replace("=1700003600", "=01700003600"),
    ],
)
def test_the_urls_end_has_one_spelling(changed: Any) -> None:
    """One order, nothing behind it, no escapes."""
    with pytest.raises(ParameterInvalid):
        check(changed(minted("/a.jpg")), site("gcp_media_cdn"), keyring=KEYRING)


def test_a_path_component_opens_its_folder() -> None:
    """All below the folder in front of it, and nothing beside; the picture's path has no credentials."""
    url = minted("/shop/x/a.jpg", extras={"folder": "/shop/"})
    assert url.startswith(f"/shop/edge-cache-token=Expires={LATER}&KeyName={URL.id}&Signature=")
    claims = check(url, site("gcp_media_cdn"), keyring=KEYRING)
    assert (claims.path, claims.pairs, claims.expires, claims.from_headers) == ("/shop/x/a.jpg", (), LATER, False)
    below = check(url.replace("/x/a.jpg", "/b.jpg"), site("gcp_media_cdn"), keyring=KEYRING)
    assert (below.path, below.id) == ("/shop/b.jpg", claims.id)
    with pytest.raises(Expired):
        check(url, site("gcp_media_cdn"), keyring=KEYRING, now=LATER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/shop/edge", "/shops/edge"),
        ("/shop/edge", "/edge"),
        ("/shop/edge", "/shop/x/edge"),
        ("/x/a.jpg", ""),
        ("/x/a.jpg", "/"),
        ("/x/a.jpg", "/a.jpg?w=3"),
        ("/x/a.jpg", "/edge-cache-token=Expires=1&KeyName=x&Signature=y/a.jpg"),
        ("/x/a.jpg", "/a.jpg?Expires=1&KeyName=x&Signature=y"),
        ("Expires=17", "Expires=27"),
        ("Expires=", "expires="),
        ("&Signature=", "&x=1&Signature="),
        ("/x/", "=/x/"),
        ("-cache-", "%2Dcache-"),
    ],
)
def test_a_path_component_has_one_place_and_one_spelling(old: str, new: str) -> None:
    """Other folders, other times, a second component, a query that nothing signs."""
    url = minted("/shop/x/a.jpg", extras={"folder": "/shop/"})
    assert url != url.replace(old, new, 1)
    with pytest.raises(CountermarkError):
        check(url.replace(old, new, 1), site("gcp_media_cdn"), keyring=KEYRING)


@given(data=st.data())
def test_a_changed_path_component_opens_its_folder_at_most(data: st.DataObject) -> None:
    """One to three changes: refused, or a path below what was signed, until the same time."""
    changed = minted("/shop/17/a.jpg", extras={"folder": "/shop/"})
    for mutation in data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        changed = mutation(changed or "/", data)
    try:
        claims = check(changed, site("gcp_media_cdn"), keyring=KEYRING)
    except CountermarkError:
        return
    assert claims.path.startswith("/shop/")
    assert (claims.pairs, claims.expires, claims.key_id) == ((), LATER, URL.id)


@pytest.mark.parametrize(
    ("target", "extras"),
    [
        ("/shop/a.jpg?w=3", {"folder": "/shop/"}),
        ("/shop/a.jpg", {"folder": "/shop"}),
        ("/a.jpg", {"folder": "/shop/"}),
        ("/shop/a.jpg", {"folder": "/shop/", "prefix": "/shop/"}),
    ],
)
def test_a_folder_is_one(target: str, extras: dict[str, str]) -> None:
    """In which the path lies; with nothing that it would not sign."""
    with pytest.raises(ParameterInvalid):
        minted(target, extras=extras)


def test_a_cookie_opens_its_prefix() -> None:
    """The same fields with colons; the URL alone opens nothing."""
    prefix = base64url(f"{BASE}/shop/".encode())
    padded = prefix + "=" * (-len(prefix) % 4)
    signed = f"URLPrefix={padded}:Expires={LATER}:KeyName=my-cookie"
    signature = base64url(sign(COOKIE, signed.encode())) + "=="
    headers = {"cookie": f"a=b; Edge-Cache-Cookie={signed}:Signature={signature}"}
    where = site("gcp_media_cdn_cookie")
    claims = check("/shop/a.jpg", where, keyring=KEYRING, headers=headers)
    assert (claims.path, claims.from_headers) == ("/shop/a.jpg", True)
    for target in ("/a.jpg", "/shop"):
        with pytest.raises(SignatureInvalid):
            check(target, where, keyring=KEYRING, headers=headers)
    with pytest.raises(SignatureMissing):
        check("/shop/a.jpg", where, keyring=KEYRING)
    with pytest.raises(ParameterInvalid):
        cut = {"cookie": headers["cookie"].replace(f":Expires={LATER}", "")}
        check("/shop/a.jpg", where, keyring=KEYRING, headers=cut)
    with pytest.raises(ParameterInvalid):
        DIALECTS["gcp_media_cdn_cookie"].mint(parse_target("/a"), where, COOKIE, MintOrder(now=NOW, expires=LATER))


@pytest.mark.parametrize("key", [TOKEN, MAC, OLD], ids=lambda key: key.algorithm)
def test_a_minted_token_is_read_back(key: Key) -> None:
    """One path, its times, its network, by each algorithm."""
    target = minted("/a.jpg", key, not_before=NOW, address=ip_address(CLIENT), extras={"id": "s", "data": "d"})
    where = site("gcp_media_cdn_token")
    claims = check(target, where, keyring=KEYRING)
    assert (claims.key_id, claims.not_before, str(claims.address)) == (key.id, NOW, f"{CLIENT}/32")
    with pytest.raises(SignatureInvalid):
        check(target.replace("/a.jpg", "/b.jpg"), where, keyring=KEYRING)
    with pytest.raises(NotYetValid):
        check(target, where, keyring=KEYRING, now=NOW - 1)
    with pytest.raises(AddressMismatch):
        check(target, where, keyring=KEYRING, client="198.51.100.1")


def test_globs_are_held() -> None:
    """Each of them may cover the path."""
    where = site("gcp_media_cdn_token")
    tail = minted("/a.jpg", MAC, extras={"globs": "/a/*,/b/?.jpg"}).partition("?")[2]
    for path in ("/a/x/y.jpg", "/b/c.jpg"):
        assert check(f"{path}?{tail}", where, keyring=KEYRING)
    for path in ("/b/cc.jpg", "/c.jpg"):
        with pytest.raises(SignatureInvalid):
            check(f"{path}?{tail}", where, keyring=KEYRING)


def test_any_of_several_ranges_is_enough() -> None:
    """And no other address; a proof that depends on the client is not kept for the next."""
    ranges = base64url(b"203.0.113.0/24,2001:db8::/32")
    target = f"/a.jpg?{token('PathGlobs=/*', f'Expires={LATER}', f'IPRanges={ranges}')}"
    where = site("gcp_media_cdn_token")
    for client in (CLIENT, "2001:db8::7"):
        assert check(target, where, keyring=KEYRING, client=client).from_headers
    with pytest.raises(AddressMismatch):
        check(target, where, keyring=KEYRING, client="198.51.100.1")


def test_a_header_is_bound_with_its_value() -> None:
    """Another value, none, or one that would read as a second header opens nothing."""
    where = site("gcp_media_cdn_token")
    fields = ("PathGlobs=/*", f"Expires={LATER}", "Headers=Foo,Geo")
    signed = f"PathGlobs=/*~Expires={LATER}~Headers=Foo=1,Geo=DE"
    target = f"/a.jpg?{token(*fields, signed=signed)}"
    assert check(target, where, keyring=KEYRING, headers={"foo": "1", "geo": "DE"}).from_headers
    for headers in ({}, {"foo": "1"}, {"foo": "1", "geo": "FR"}):
        with pytest.raises(SignatureInvalid):
            check(target, where, keyring=KEYRING, headers=headers)
    shifted = f"/a.jpg?{token(*fields[:2], 'Headers=Foo', signed=signed)}"
    with pytest.raises(SignatureInvalid):
        check(shifted, where, keyring=KEYRING, headers={"foo": "1,Geo=DE", "geo": "FR"})


def test_a_path_writes_no_fields() -> None:
    """The path of a FullPath token is signed between '~'."""
    signed = f"FullPath=/a~Starts={LATER}~Expires={LATER}"
    target = f"/a~Starts={LATER}?{token('FullPath', f'Expires={LATER}', signed=signed)}"
    with pytest.raises(ParameterInvalid):
        check(target, site("gcp_media_cdn_token"), keyring=KEYRING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FullPath~hmac=00",
        f"Expires={LATER}~hmac=00",
        f"FullPath~PathGlobs=/*~Expires={LATER}~hmac=00",
        f"FullPath=/b.jpg~Expires={LATER}~hmac=00",
        f"FullPath~Expires={LATER}~Expires={LATER}~hmac=00",
        f"FullPath~Expires={LATER}~IPRanges=!~hmac=00",
        f"FullPath~Expires={LATER}~Signature={'A' * 43}~hmac=00",
        f"FullPath~Expires={LATER}~Signature={'A' * 43}",
        f"FullPath~Expires={LATER}~hmac={'A' * 64}",
    ],
)
def test_a_token_that_is_not_one_is_refused(text: str) -> None:
    """Two scopes, none, fields twice, a MAC in the other spelling."""
    with pytest.raises((ParameterInvalid, SignatureInvalid)):
        check(f"/a.jpg?edge-cache-token={text}", site("gcp_media_cdn_token"), keyring=KEYRING)


URLS = {
    "url": (minted("/img/17/a.jpg?w=80&h=60"), site("gcp_media_cdn")),
    "token": (minted("/img/17/a.jpg", TOKEN, not_before=NOW), site("gcp_media_cdn_token")),
    "mac": (minted("/img/17/a.jpg", MAC, address=ip_address(CLIENT)), site("gcp_media_cdn_token")),
}


@pytest.mark.parametrize("name", URLS)
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(name: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    url, where = URLS[name]
    opens_nothing_else(url, where, KEYRING, data)
