"""Bunny's four generations: what their glued texts must not open."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64url
from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    CountryMismatch,
    Expired,
    Malformed,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    TargetMalformed,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.borders import wanders
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import sign
from countermark.signing.realm import waivers
from countermark.signing.table import DIALECTS
from countermark.signing.verify import admit, authenticate, prove
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, edge, realm_with

BASIC = Key(id="basic", dialect="bunny_basic", algorithm="md5", material=b"basic zone security key")
LEGACY = Key(id="legacy", dialect="bunny_sha256_legacy", algorithm="sha256", material=b"legacy zone security key")
HMAC = Key(id="hmac", dialect="bunny_hmac", algorithm="hmac-sha256", material=b"newest zone security key")
KEYS = {key.dialect: key for key in (BASIC, LEGACY, HMAC)}
KEYRING = Keyring(KEYS.values())
ORDERS = ("expires,ip,params", "ip,expires,params", "expires,params,ip")
IPV6 = "2001:db8::7"


def where(dialect: str, **options: Value) -> Realm:
    return realm_with(dialect, options={dialect: options})


def mint(
    dialect: str, target: str, *, address: str = "", extras: dict[str, str] | None = None, **options: Value
) -> str:
    order = MintOrder(now=NOW, expires=LATER, address=ip_address(address) if address else None, extras=extras or {})
    return DIALECTS[dialect].mint(parse_target(target), where(dialect, **options), KEYS[dialect], order)


def opened(url: str, dialect: str, *, client: str = CLIENT, **options: Value) -> Claims:
    return check(url, where(dialect, **options), keyring=KEYRING, client=client)


def legacy(text: str) -> str:
    return base64url(hashlib.sha256(LEGACY.material + text.encode()).digest())


def basic(text: str) -> str:
    return base64url(hashlib.md5(BASIC.material + text.encode(), usedforsecurity=False).digest())


FORMS: dict[str, tuple[str, str, dict[str, Value]]] = {
    "basic": ("bunny_basic", "", {}),
    "basic-ip": ("bunny_basic", CLIENT, {"ip": True}),
    "legacy": ("bunny_sha256_legacy", "", {}),
    **{f"legacy-{order}": ("bunny_sha256_legacy", CLIENT, {"ip": True, "order": order}) for order in ORDERS},
    "hmac": ("bunny_hmac", "", {}),
    "hmac-bytes": ("bunny_hmac", CLIENT, {}),
    "hmac-text": ("bunny_hmac", CLIENT, {"text_ip": True}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_minted_url_is_read_back(form: str) -> None:
    """Path, operations and expiry, for its client only and until its end."""
    dialect, address, options = FORMS[form]
    query = "" if dialect == "bunny_basic" else "?width=17&crop=1,2,3,4"
    url = mint(dialect, f"/img/a.jpg{query}", address=address, **options)
    claims = opened(url, dialect, **options)
    assert (claims.path, claims.expires) == ("/img/a.jpg", LATER)
    assert {(pair.name, pair.value) for pair in claims.pairs} == (
        {("width", "17"), ("crop", "1,2,3,4")} if query else set()
    )
    if address:
        with pytest.raises(CountermarkError):
            opened(url, dialect, client="203.0.113.8", **options)
    with pytest.raises(Expired):
        check(url, where(dialect, **options), keyring=KEYRING, now=LATER + 1)


@pytest.mark.parametrize("form", FORMS)
def test_a_digit_does_not_move_from_the_path_to_the_expiry(form: str) -> None:
    """/img/17 until LATER is one text with /img/1 until 7LATER, and with /img/171 and nine digits more."""
    dialect, address, options = FORMS[form]
    token = opened_token(mint(dialect, "/img/17", address=address, **options))
    for path, expires in (("/img/1", f"7{LATER}"), ("/img/171", str(LATER)[1:])):
        with pytest.raises((ParameterInvalid, SignatureInvalid)):
            opened(f"{path}?token={token}&expires={expires}", dialect, **options)


def opened_token(url: str) -> str:
    return url.partition("token=")[2].partition("&")[0]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_digits_do_not_rotate_through_the_expiry_into_the_address(size: int) -> None:
    """Ten digits again, and the address of another client: the text is the same, the cut with the longest address holds."""
    expires, client = "1717171711", "1.2.3.4"
    glued = f"/img/171717{expires}{client}"
    cut = len(f"/img/171717{expires}") - size
    path, moved, address = glued[: cut - 10], glued[cut - 10 : cut], glued[cut:]
    realm = where("bunny_basic", ip=True)
    accepted = []
    for asked, until, caller in (("/img/171717", expires, client), (path, moved, address)):
        try:
            ip_address(caller)
            url = f"{asked}?token={basic(glued)}&expires={until}"
            check(url, realm, keyring=KEYRING, now=int(until) - 60, client=caller)
            accepted.append(asked)
        except (ValueError, CountermarkError):
            continue
    assert accepted in ([], [path])


@given(
    path=st.text(alphabet="0123456789abc.:/-", max_size=6),
    expires=st.sampled_from(["", "1717171711", "1700003600"]),
    address=st.sampled_from(["1.2.3.4", "27.0.0.1", "127.0.0.1", "::1", "1::2", "2001:db8::7", "a::b"]),
)
def test_every_glued_text_has_one_cut(path: str, expires: str, address: str) -> None:
    """Of all ways to cut it into path, expiry and address, one is taken."""
    text = f"/{path}{expires}{address}"
    taken = []
    for end in range(1, len(text)):
        before, caller = text[:end], text[end:]
        start = before[: -len(expires)] if expires else before
        until = before[len(start) :]
        if not start.startswith("/") or (expires and (not until.isdigit() or until[0] == "0" or len(until) != 10)):
            continue
        try:
            if str(ip_address(caller)) != caller:
                continue
        except ValueError:
            continue
        if not wanders(start, until, caller):
            taken.append((start, until, caller))
    assert len(taken) == 1


def test_the_path_does_not_take_digits_of_the_address() -> None:
    """`ip,expires`: /img/1 for 27.0.0.1 and /img/ for 127.0.0.1."""
    token = legacy(f"/img/x127.0.0.1{LATER}")
    options: dict[str, Value] = {"ip": True, "order": ORDERS[1]}
    assert opened(f"/img/x?token={token}&expires={LATER}", "bunny_sha256_legacy", client="127.0.0.1", **options)
    with pytest.raises(ParameterInvalid):
        opened(f"/img/x1?token={token}&expires={LATER}", "bunny_sha256_legacy", client="27.0.0.1", **options)


def test_a_value_does_not_give_digits_to_the_address() -> None:
    """`params,ip`: width=15 for 1.2.3.4 and width=1 for 51.2.3.4."""
    options: dict[str, Value] = {"ip": True, "order": ORDERS[2]}
    token = legacy(f"/a.jpg{LATER}width=151.2.3.4")
    url = f"/a.jpg?token={token}&width={{}}&expires={LATER}"
    assert opened(url.format("1"), "bunny_sha256_legacy", client="51.2.3.4", **options)
    with pytest.raises(ParameterInvalid):
        opened(url.format("15"), "bunny_sha256_legacy", client="1.2.3.4", **options)


def test_a_name_does_not_lend_letters_to_an_address() -> None:
    """`ip,params`: 2001:db8:: with bg=… and 2001:db8::b with g=…."""
    options: dict[str, Value] = {"ip": True, "order": ORDERS[0]}
    token = legacy(f"/a.jpg{LATER}2001:db8::bg=1")
    assert opened(f"/a.jpg?token={token}&g=1&expires={LATER}", "bunny_sha256_legacy", client="2001:db8::b", **options)
    with pytest.raises(ParameterInvalid):
        opened(f"/a.jpg?token={token}&bg=1&expires={LATER}", "bunny_sha256_legacy", client="2001:db8::", **options)


@pytest.mark.parametrize(
    "target",
    [
        "/x1700003600a%3D?token={}&b=1&expires=1717003600",
        "/x1700003600a=?token={}&b=1&expires=1717003600",
        "/x?token={}&a=1717003600b%3D1%26c%3D2&expires=1700003600",
        "/x?token={}&1a=1717003600b&expires=1700003600",
    ],
)
def test_parameters_and_path_have_one_cut(target: str) -> None:
    """Path, expiry, names and values of another URL with the same text."""
    for text in ("/x1700003600a=1717003600b=1", "/x1700003600a=1717003600b=1&c=2", "/x17000036001a=1717003600b"):
        with pytest.raises((Malformed, SignatureInvalid)):
            opened(target.format(legacy(text)), "bunny_sha256_legacy")


def test_a_hash_is_not_extended() -> None:
    """The secret stands first: whoever has a token could hash on behind the padding, but no URL can say the padding."""
    for padding in ("%80%00%00%00", "%80", "%C2%80%00", "%00"):
        for target in (f"/a.jpg1700003600{padding}/b.jpg", f"/a.jpg?width=1{padding}"):
            mark = "&" if "?" in target else "?"
            with pytest.raises(TargetMalformed):
                opened(f"{target}{mark}token={legacy('/a.jpg')}&expires={LATER}", "bunny_sha256_legacy")
    with pytest.raises(TargetMalformed):
        opened(f"/a.jpg1700003600%80%00/../b.jpg?token={basic('/a.jpg')}&expires={LATER}", "bunny_basic")


@pytest.mark.parametrize("dialect", ["bunny_sha256_legacy", "bunny_hmac"])
@pytest.mark.parametrize("extras", [{}, {"directory": "yes"}])
def test_a_scope_opens_what_is_below_it_and_no_sibling(dialect: str, extras: dict[str, str]) -> None:
    """/abc opens /abc/x and not /abcd, which it does where characters are compared."""
    for scope, path, good in (
        ("/abc/", "/abc/x.jpg", True),
        ("/abc", "/abc/x/y.jpg", True),
        ("/abc", "/abc", True),
        ("/", "/x.jpg", True),
        ("/abc", "/abcd", False),
        ("/abc", "/abcd/x.jpg", False),
        ("/abc/", "/abc", False),
        ("/abc/", "/Abc/x.jpg", False),
        ("/abc/", "/ab%63/x.jpg", False),
    ):
        url = mint(dialect, path, extras={"token_path": scope, **extras})
        if good:
            assert opened(url, dialect).path == path
        else:
            with pytest.raises(SignatureInvalid):
                opened(url, dialect)


@pytest.mark.parametrize("dialect", ["bunny_sha256_legacy", "bunny_hmac"])
def test_the_directory_form_waives_nothing_behind_its_segment(dialect: str) -> None:
    """%2F is for token_path alone; a climb is one in any spelling, and no parameter stands outside of it."""
    url = mint(dialect, "/abc/x.jpg", extras={"token_path": "/abc/", "directory": "yes"})
    for change in (
        url.replace("/abc/x", "/abc%2Fx"),
        url.replace("/abc/x", "/abc//x"),
        url.replace("/abc/x", "/abc/../x"),
        url.replace("/abc/x", "/abc/..%2Fx"),
        url + "?width=1",
        url.replace("expires", "width=1&width=1&expires"),
    ):
        with pytest.raises(Malformed):
            opened(change, dialect)


def test_bound_tokens_are_bound_by_their_bytes() -> None:
    """An IPv6 address by its /64; and no token loses its binding with its mark."""
    url = mint("bunny_hmac", "/a.jpg?width=1", address=IPV6)
    assert opened(url, "bunny_hmac", client="2001:db8::9:1").address is not None
    for client in ("2001:db8:0:1::7", CLIENT):
        with pytest.raises((SignatureInvalid, AddressMismatch)):
            opened(url, "bunny_hmac", client=client)
    with pytest.raises(SignatureInvalid):
        opened(url.replace("HS256-1-", "HS256-"), "bunny_hmac", client=IPV6)
    with pytest.raises(SignatureInvalid):
        opened(url.replace("HS256-1-", "HS256-"), "bunny_hmac", client=IPV6, text_ip=True)


def test_a_site_may_want_every_token_bound() -> None:
    """The bytes of 119.105.100.116 are `widt`: bound to it and with h=5, a token is one for width… too, unless `bound`."""
    message = b"/a.jpg" + str(LATER).encode() + b"widt" + b"h=5"
    url = f"/a.jpg?token=HS256-{base64url(sign(HMAC, message))}&width=5&expires={LATER}"
    with pytest.raises(SignatureInvalid):
        opened(url, "bunny_hmac", bound=True)
    with pytest.raises(ParameterInvalid):
        mint("bunny_hmac", "/a.jpg", bound=True)


@pytest.mark.parametrize("dialect", ["bunny_sha256_legacy", "bunny_hmac"])
def test_countries_let_in_and_close_out(dialect: str) -> None:
    """And who comes from nowhere known is not let in by either."""
    for name, good, bad in (("token_countries", "CA", "DE"), ("token_countries_blocked", "DE", "CA")):
        url = mint(dialect, "/a.jpg", extras={name: "CA,US"})
        realm = where(dialect)
        asked = edge(url, waive=waivers(realm))
        proof = prove(asked, realm, KEYRING)
        assert admit(proof, asked.client, NOW, country=good).path == "/a.jpg"
        for country in (bad, ""):
            with pytest.raises(CountryMismatch):
                admit(proof, asked.client, NOW, country=country)


@pytest.mark.parametrize(
    "change",
    ["&limit=5000", "&width=", "&width", "&w%69dth=1", "&width=%31", "&token_countries=ca", "&width=1%262"],
)
def test_what_is_not_kept_or_spelled_oddly_is_refused(change: str) -> None:
    """Before any key is asked."""
    with pytest.raises((ParameterInvalid, ParameterUnknown)):
        opened(mint("bunny_hmac", "/a.jpg") + change, "bunny_hmac")


def test_nothing_stands_beside_ignored_parameters() -> None:
    """They would be anybody's."""
    text = f"/a.jpg{LATER}token_ignore_params=true"
    url = f"/a.jpg?token={legacy(text)}&token_ignore_params=true&expires={LATER}"
    assert opened(url, "bunny_sha256_legacy").pairs == ()
    for pair in ("width=1", "token_path=%2F", "token_countries=CA"):
        with pytest.raises(ParameterUnknown):
            opened(f"{url}&{pair}", "bunny_sha256_legacy")


def test_a_site_may_take_all_generations() -> None:
    """The token's shape says which one it is; each has its own key."""
    realm = realm_with("bunny_hmac", "bunny_sha256_legacy", "bunny_basic")
    for dialect in KEYS:
        url = mint(dialect, "/a.jpg")
        claims = authenticate(edge(url, waive=waivers(realm)), realm, KEYRING, NOW)
        assert claims.dialect == dialect


def test_an_ipv6_address_is_hashed_short_or_in_full() -> None:
    """Signers hash the text that they are given."""
    for text in (IPV6, "2001:0db8:0000:0000:0000:0000:0000:0007"):
        url = f"/a.jpg?token={legacy(f'/a.jpg{LATER}{text}')}&expires={LATER}"
        assert opened(url, "bunny_sha256_legacy", client=IPV6, ip=True).expires == LATER


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(form: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    dialect, address, options = FORMS[form]
    query = "" if dialect == "bunny_basic" else "?width=17&height=21"
    url = mint(dialect, f"/img/17/a1.jpg{query}", address=address, **options)
    opens_nothing_else(url, where(dialect, **options), KEYRING, data)


@given(data=st.data())
def test_a_changed_directory_opens_nothing_else(data: st.DataObject) -> None:
    """The form in which everything stands in the path."""
    url = mint("bunny_hmac", "/img/17/a1.jpg?width=17", extras={"directory": "yes"})
    opens_nothing_else(url, where("bunny_hmac"), KEYRING, data)
