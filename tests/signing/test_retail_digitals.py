"""Retail Digitals: a token that is for one client, one address, one picture and one time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64url
from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    CountryMismatch,
    Expired,
    LifetimeExceeded,
    NotYetValid,
    ParameterInvalid,
    SignatureInvalid,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import sign
from countermark.signing.retail_digitals import RetailDigitals
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, NOW, check, realm_with

EDGE = Key(id="rd1", dialect="retail_digitals", algorithm="hmac-sha256", material=b"e" * 32)
RING = Keyring([EDGE])
NONCE = "01HF8Z3M9Q6V1T0R2X4Y6Z8A0B"
PATH = "/i/0012345678905/front"
HEADER = {"alg": "HS256", "typ": "rdimg+jwt", "kid": "rd1"}
ABSENT = object()


def store(**options: Value) -> Realm:
    return realm_with("retail_digitals", options={"retail_digitals": options})


def opened(target: str, where: Realm | None = None, **facts: Any) -> Claims:
    return check(target, where or store(), keyring=RING, **facts)


def url(query: str = "w=800&fmt=webp", header: Mapping[str, object] = HEADER, path: str = PATH, **changes: Any) -> str:
    """A URL with these claims changed, or left out where they are ABSENT."""
    claims = {
        "iss": "https://api.example.com",
        "aud": "img-edge",
        "client_id": "cl_7f3a",
        "jti": NONCE,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 900,
        "ip": CLIENT,
        "img": {"b": "0012345678905", "v": "front"},
        "th": base64url(hashlib.sha256(query.encode()).digest()),
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not ABSENT}
    return f"{path}?{query}&token={token(header, json.dumps(kept).encode())}"


def token(header: Mapping[str, object], claims: bytes) -> str:
    message = f"{base64url(json.dumps(header).encode())}.{base64url(claims)}"
    return f"{message}.{base64url(sign(EDGE, message.encode()))}"


def test_what_it_says_is_handed_on() -> None:
    """Client, single use, address, times; `fmt` is the native fm."""
    claims = opened(url())
    assert (claims.client_id, claims.once, str(claims.address)) == ("cl_7f3a", NONCE, f"{CLIENT}/32")
    assert (claims.issued, claims.expires, claims.exclusive_expiry) == (NOW, NOW + 900, True)
    assert [(pair.name, pair.value) for pair in claims.pairs] == [("w", "800"), ("fm", "webp")]
    assert (claims.path, claims.key_id) == (PATH, "rd1")


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "HS384"},
        {**HEADER, "alg": "hs256"},
        {**HEADER, "typ": "at+jwt"},
        {**HEADER, "kid": "rd2"},
        {**HEADER, "kid": "../rd1"},
        {**HEADER, "crit": []},
        {**HEADER, "jwk": {"kty": "oct", "k": "AA"}},
        {**HEADER, "jku": "https://attacker.example/keys"},
        {"alg": "HS256", "typ": "rdimg+jwt"},
        {"alg": "HS256", "kid": "rd1"},
        {"kid": "rd1", "typ": "rdimg+jwt"},
    ],
)
def test_a_header_has_one_algorithm_one_type_and_a_key(header: dict[str, object]) -> None:
    """Nothing in a token chooses how it is checked, though its MAC hold."""
    with pytest.raises(SignatureInvalid):
        opened(url(header=header))


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ABSENT} for name in ("aud", "client_id", "jti", "iat", "nbf", "exp", "ip", "img", "th")),
        *({name: "1"} for name in ("sid", "wm", "tv", "scope_hash")),
        {"aud": "api"},
        {"aud": ["img-edge", "api"]},
        {"jti": "short"},
        {"jti": "a" * 22 + "\n"},
        {"exp": str(NOW + 900)},
        {"iat": True},
        {"max": 2},
        {"geo": []},
        {"geo": ["ch"]},
        {"ip": "203.0.113.0/24"},
        {"ip": "::ffff:203.0.113.7"},
        {"ip": "203.000.113.007"},
        {"img": {"b": "0012345678905", "v": "back"}},
        {"img": {"b": "0012345678906", "v": "front"}},
        {"th": base64url(hashlib.sha256(b"w=9999").digest())},
        {"th": ""},
    ],
)
def test_claims_are_whole_and_understood(changes: dict[str, object]) -> None:
    """One that is missing, odd, for others, or bound to what nobody checks opens nothing."""
    with pytest.raises(SignatureInvalid):
        opened(url(**changes))


@pytest.mark.parametrize(
    "path", ["/i/0012345678905/back", "/x/0012345678905/front", "/i/a/0012345678905/front", "/i/front"]
)
def test_a_token_opens_its_own_path(path: str) -> None:
    """The whole of it, not its end."""
    with pytest.raises(SignatureInvalid):
        opened(url(path=path))


def test_the_issuer_counts_where_one_is_set() -> None:
    """Else the key is what binds."""
    assert opened(url(), store(issuer="https://api.example.com"))
    for iss in ("https://other.example", ABSENT):
        with pytest.raises(SignatureInvalid):
            opened(url(iss=iss), store(issuer="https://api.example.com"))


def test_it_lives_a_quarter_of_an_hour_at_most() -> None:
    """Between iat and exp, and exp itself is too late, as in RFC 7519."""
    assert opened(url(), now=NOW + 899.9)
    with pytest.raises(Expired):
        opened(url(), now=NOW + 900)
    for exp in (NOW + 901, NOW, NOW - 1):
        with pytest.raises(LifetimeExceeded):
            opened(url(exp=exp))


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_the_issuers_clock_may_be_a_minute_ahead(claim: str) -> None:
    """And no more."""
    assert opened(url(**{claim: NOW + 60}))
    with pytest.raises(NotYetValid):
        opened(url(**{claim: NOW + 61}))


@pytest.mark.parametrize(
    ("ip", "same", "other"),
    [(CLIENT, CLIENT, "203.0.113.8"), ("2001:db8::7", "2001:db8::ffff:1", "2001:db8:0:1::7")],
)
def test_it_opens_for_one_address(ip: str, same: str, other: str) -> None:
    """Of IPv6 the network that one household has."""
    assert opened(url(ip=ip), client=same)
    with pytest.raises(AddressMismatch):
        opened(url(ip=ip), client=other)


def test_countries_bind() -> None:
    """An unknown country is none of them."""
    with pytest.raises(CountryMismatch):
        opened(url(geo=["CH", "DE"]))


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "..", "e30.e30.", "e30.e30.AA", "e30=.e30.AA", "a.b.c.d", "\u00e9.b.c", "A" * 3000]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """In one way."""
    with pytest.raises(SignatureInvalid):
        opened(f"{PATH}?token={parse_quoted(text)}")


def parse_quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" if byte > 0x7E else chr(byte) for byte in text.encode())


@given(st.binary(max_size=200))
def test_any_claims_are_refused_or_understood(data: bytes) -> None:
    """However deep or odd, with a MAC that holds."""
    with pytest.raises(SignatureInvalid):
        opened(f"{PATH}?token={token(HEADER, data)}")
    with pytest.raises(SignatureInvalid):
        opened(f"{PATH}?token={token(HEADER, b'[' * 1000)}")


ORDER = MintOrder(
    now=NOW, expires=NOW + 600, address=ip_address(CLIENT), extras={"client_id": "c", "geo": "CH,DE"}, nonce=NONCE
)


def test_a_minted_url_is_read_back() -> None:
    """Picture and operations from the target, the rest from the order."""
    made = RetailDigitals().mint(parse_target(f"{PATH}?w=8"), store(issuer="me"), EDGE, ORDER)
    with pytest.raises(CountryMismatch):
        opened(made, store(issuer="me"))
    plain = MintOrder(now=NOW, expires=NOW + 600, address=ip_address(CLIENT), extras={"client_id": "c"}, nonce=NONCE)
    claims = opened(RetailDigitals().mint(parse_target(PATH), store(), EDGE, plain))
    assert (claims.once, claims.client_id, claims.expires, claims.pairs) == (NONCE, "c", NOW + 600, ())


@pytest.mark.parametrize(
    ("target", "facts"),
    [
        (PATH, {"address": None}),
        (PATH, {"nonce": ""}),
        (PATH, {"extras": {}}),
        (PATH, {"expires": NOW + 901}),
        (PATH, {"extras": {"client_id": "c", "colour": "red"}}),
        ("/elsewhere.jpg", {}),
        (f"{PATH}?token=x", {}),
    ],
)
def test_an_order_must_say_all(target: str, facts: dict[str, Any]) -> None:
    """Client, address, something unique, a short life, a picture."""
    given_order = {name: getattr(ORDER, name) for name in ORDER.__struct_fields__}
    with pytest.raises(ParameterInvalid):
        RetailDigitals().mint(parse_target(target), store(), EDGE, MintOrder(**{**given_order, **facts}))


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same picture, client and use."""
    opens_nothing_else(url(), store(), RING, data)


@given(st.text(alphabet="abcABC012-_.", max_size=40))
def test_a_forged_signature_opens_nothing(text: str) -> None:
    """Whatever stands in its place."""
    with pytest.raises(CountermarkError):
        opened(f"{url().rpartition('.')[0]}.{text}")
