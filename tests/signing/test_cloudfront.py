"""CloudFront: what a policy covers, and what it cannot be made to cover."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from botocore.signers import CloudFrontSigner
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    AddressMismatch,
    ConfigurationInvalid,
    CountermarkError,
    DialectsMixed,
    Expired,
    NotYetValid,
    ParameterInvalid,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.cloudfront import MAX_POLICY, canned_policy, read_policy, write_text
from countermark.signing.dialect import MintOrder
from countermark.signing.primitives import sign
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.pairs import pair_key
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

BASE = "https://img.example.com"
SITE = realm_with("cloudfront", base_url=BASE)
COOKIE_SITE = realm_with("cloudfront_cookie", base_url=BASE)
EC = pair_key("KEC", "cloudfront", "ecdsa-p256")
RSA = pair_key("KRSA", "cloudfront", "rsa-sha256")
OLD = pair_key("KOLD", "cloudfront", "rsa-sha1")
COOKIE = pair_key("KCOOKIE", "cloudfront_cookie", "ecdsa-p256")
KEYRING = Keyring([EC, RSA, OLD, COOKIE])


def minted(target: str, key: Key = EC, **order: object) -> str:
    made = MintOrder(now=NOW, **{"expires": LATER, **order})  # type: ignore[arg-type]
    return DIALECTS["cloudfront"].mint(parse_target(target), SITE, key, made)


def policy_of(resource: str, **condition: object) -> bytes:
    conditions = {"DateLessThan": {"AWS:EpochTime": LATER}, **condition}
    return json.dumps({"Statement": [{"Resource": resource, "Condition": conditions}]}, separators=(",", ":")).encode()


def presented(target: str, policy: bytes, key: Key = EC) -> str:
    mark = "&" if "?" in target else "?"
    signature = write_text(sign(key, policy))
    return f"{target}{mark}Policy={write_text(policy)}&Signature={signature}&Key-Pair-Id={key.id}&Hash-Algorithm=SHA256"


def cookie(policy: bytes, key: Key = COOKIE) -> dict[str, str]:
    values = {"Policy": write_text(policy), "Signature": write_text(sign(key, policy)), "Key-Pair-Id": key.id}
    return {"cookie": "; ".join(f"CloudFront-{n}={v}" for n, v in {**values, "Hash-Algorithm": "SHA256"}.items())}


@pytest.mark.parametrize("key", [EC, RSA, OLD], ids=lambda key: key.algorithm)
def test_a_minted_url_is_read_back(key: Key) -> None:
    """Path, operations, the two times and the network."""
    claims = check(minted("/a/cat.jpg?w=800&fit=cover", key), SITE, keyring=KEYRING)
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/a/cat.jpg", ["w=800", "fit=cover"])
    assert (claims.key_id, claims.expires, claims.exclusive_expiry) == (key.id, LATER, True)
    bound = minted("/a.jpg", key, not_before=NOW + 5, address=ip_network("203.0.113.0/24"))
    claims = check(bound, SITE, keyring=KEYRING, now=NOW + 5)
    assert (claims.not_before, claims.address) == (NOW + 5, ip_network("203.0.113.0/24"))


def test_it_is_valid_strictly_between_its_times() -> None:
    """Not at the start, not at the end."""
    target = presented("/a.jpg", policy_of(f"{BASE}/a.jpg", DateGreaterThan={"AWS:EpochTime": NOW}))
    with pytest.raises(NotYetValid):
        check(target, SITE, keyring=KEYRING, now=NOW)
    check(target, SITE, keyring=KEYRING, now=NOW + 1)
    check(target, SITE, keyring=KEYRING, now=LATER - 1)
    with pytest.raises(Expired):
        check(target, SITE, keyring=KEYRING, now=LATER)


def test_a_resource_covers_what_it_says_and_no_more() -> None:
    """Neither a sibling, nor another host, nor a query that the pattern ends before."""
    policy = policy_of(f"{BASE}/shop/*.jpg")
    assert check(presented("/shop/a/b.jpg", policy), SITE, keyring=KEYRING).path == "/shop/a/b.jpg"
    for target in ("/shop/a.png", "/shops/a.jpg", "/a.jpg", "/shop/a.jpg?w=9"):
        with pytest.raises(SignatureInvalid):
            check(presented(target, policy), SITE, keyring=KEYRING)
    with pytest.raises(SignatureInvalid):
        check(presented("/shop/a.jpg", policy_of("https://other.example.com/shop/*")), SITE, keyring=KEYRING)


def test_a_network_is_held() -> None:
    """From elsewhere, and from IPv6, it opens nothing."""
    target = presented("/a.jpg", policy_of(f"{BASE}/*", IpAddress={"AWS:SourceIp": "203.0.113.0/24"}))
    check(target, SITE, keyring=KEYRING, client=CLIENT)
    for client in ("198.51.100.1", "2001:db8::1"):
        with pytest.raises(AddressMismatch):
            check(target, SITE, keyring=KEYRING, client=client)


@pytest.mark.parametrize(
    "policy",
    [
        b"{}",
        b"[]",
        b"[" * 3000,
        b'{"Statement":[]}',
        policy_of(f"{BASE}/*").replace(b'"Resource"', b'"Resource":"https://img.example.com/a","Resource"'),
        policy_of(f"{BASE}/*").replace(b'"Statement"', b'"Version":1,"Statement"'),
        policy_of(f"{BASE}/*").replace(str(LATER).encode(), b"true"),
        policy_of(f"{BASE}/*").replace(str(LATER).encode(), b"NaN"),
        policy_of(f"{BASE}/*").replace(str(LATER).encode(), b"1e9"),
        policy_of("img/cat.jpg"),
        policy_of("*"),
        policy_of("https://*/a.jpg"),
        policy_of(f"{BASE}/*", IpAddress={"AWS:SourceIp": "2001:db8::/32"}),
        policy_of(f"{BASE}/*", Referer={"AWS:Referer": "x"}),
        policy_of(f"{BASE}/*" + "x" * MAX_POLICY),
        policy_of(f"{BASE}/\ud800*"),
        policy_of(f"{BASE}/ *"),
        b"\xff" + policy_of(f"{BASE}/*"),
    ],
)
def test_a_policy_that_is_not_fully_understood_is_refused(policy: bytes) -> None:
    """Whoever signed it: what is missing, twice, unknown or too long opens nothing."""
    with pytest.raises(ParameterInvalid):
        check(presented("/a.jpg", policy), SITE, keyring=KEYRING)


def test_a_wildcard_host_is_a_named_risk() -> None:
    """Only a site that says so takes it."""
    where = realm_with("cloudfront", base_url=BASE, options={"cloudfront": {"unsafe_wildcard_host": True}})
    assert check(presented("/a.jpg", policy_of("http*://*/a.jpg")), where, keyring=KEYRING)


def test_a_canned_signature_is_no_wildcard_policy() -> None:
    """Its bytes are a policy too; the '?' of its query must not cover other paths there."""
    signed = canned_policy(f"{BASE}/a.jpg?w=1", LATER)
    check(presented("/a.jpg?w=1", signed), SITE, keyring=KEYRING)
    with pytest.raises(SignatureInvalid):
        check(presented("/a.jpg/w=1", signed), SITE, keyring=KEYRING)
    with pytest.raises(ParameterInvalid):
        minted("/a*.jpg")


def test_a_quotation_mark_writes_no_conditions() -> None:
    """The canned policy is glued together; nothing in a URL may end its string."""
    with pytest.raises(ParameterInvalid):
        check(f'/a".jpg?Expires={LATER}&Signature=AAAA&Key-Pair-Id=KEC', SITE, keyring=KEYRING)


def test_the_hash_is_the_keys_alone() -> None:
    """The parameter is not signed: it must agree with the key."""
    target = minted("/a.jpg", RSA)
    for changed in (target.replace("&Hash-Algorithm=SHA256", ""), minted("/a.jpg", OLD) + "&Hash-Algorithm=SHA256"):
        with pytest.raises(SignatureInvalid):
            check(changed, SITE, keyring=KEYRING)
    with pytest.raises(ParameterInvalid):
        check(minted("/a.jpg", OLD) + "&Hash-Algorithm=SHA1", SITE, keyring=KEYRING)


@pytest.mark.parametrize(
    "target",
    [
        minted("/a.jpg?w=1").replace("w=1&", "") + "&w=1",
        minted("/a.jpg") + "&Policy=e30_",
        minted("/a.jpg").replace("Expires=", "Expires=0"),
        minted("/a.jpg").replace("Key-Pair-Id=KEC&", ""),
        minted("/a.jpg").replace("Expires=1", "Expires=%31"),
    ],
)
def test_credentials_have_one_place_and_one_spelling(target: str) -> None:
    """At the end, once, unescaped, one policy."""
    with pytest.raises(ParameterInvalid):
        check(target, SITE, keyring=KEYRING)


def test_without_a_base_url_nothing_opens() -> None:
    """The host is signed, and the Host field is not believed."""
    with pytest.raises(SignatureInvalid) as refused:
        check(minted("/a.jpg"), realm_with("cloudfront"), keyring=KEYRING)
    assert "base_url" in refused.value.private


def test_cookies_open_what_their_policy_covers() -> None:
    """And the URL alone opens nothing."""
    headers = cookie(policy_of(f"{BASE}/shop/*"))
    claims = check("/shop/a.jpg?w=1", COOKIE_SITE, keyring=KEYRING, headers=headers)
    assert (claims.path, claims.from_headers, [pair.raw for pair in claims.pairs]) == ("/shop/a.jpg", True, ["w=1"])
    with pytest.raises(SignatureMissing):
        check("/shop/a.jpg?w=1", COOKIE_SITE, keyring=KEYRING)
    with pytest.raises(SignatureInvalid):
        check("/a.jpg", COOKIE_SITE, keyring=KEYRING, headers=headers)
    doubled = {"cookie": headers["cookie"] + "; CloudFront-Policy=e30_"}
    with pytest.raises(ParameterInvalid):
        check("/shop/a.jpg", COOKIE_SITE, keyring=KEYRING, headers=doubled)


def test_a_url_key_signs_no_cookies() -> None:
    """A key belongs to one dialect."""
    with pytest.raises(SignatureInvalid):
        check("/a.jpg", COOKIE_SITE, keyring=KEYRING, headers=cookie(policy_of(f"{BASE}/*"), EC))


def test_a_url_and_a_cookie_are_not_mixed() -> None:
    """Where cookies are read first, a signature in the URL beside them is refused; where it is first, it decides."""
    headers = cookie(policy_of(f"{BASE}/*"))
    with pytest.raises(DialectsMixed):
        both = realm_with("cloudfront_cookie", "cloudfront", base_url=BASE)
        check(minted("/a.jpg"), both, keyring=KEYRING, headers=headers)
    turned = realm_with("cloudfront", "cloudfront_cookie", base_url=BASE)
    assert check(minted("/a.jpg"), turned, keyring=KEYRING, headers=headers).dialect == "cloudfront"


def test_what_cannot_be_minted_is_refused() -> None:
    """IPv6 networks, cookies in URLs, keys without a private half."""
    with pytest.raises(ParameterInvalid):
        minted("/a.jpg", address=ip_address("2001:db8::1"))
    order = MintOrder(now=NOW, expires=LATER)
    with pytest.raises(ParameterInvalid):
        DIALECTS["cloudfront_cookie"].mint(parse_target("/a.jpg"), COOKIE_SITE, COOKIE, order)
    with pytest.raises(ConfigurationInvalid):
        public = Key(id="p", dialect="cloudfront", algorithm="ecdsa-p256", material=EC.material)
        DIALECTS["cloudfront"].mint(parse_target("/a.jpg"), SITE, public, order)


@pytest.mark.parametrize("query", ["", "?w=800&fm=webp"])
def test_botocores_signer_is_accepted_unchanged(query: str) -> None:
    """Canned and custom, as AWS' own client writes them."""
    signer = CloudFrontSigner(OLD.id, lambda message: sign(OLD, message))
    until = datetime.fromtimestamp(LATER, UTC)
    url = f"{BASE}/a/cat%20one.jpg{query}"
    canned = signer.generate_presigned_url(url, date_less_than=until)
    policy = signer.build_policy(f"{BASE}/a/*", until, ip_address="203.0.113.0/24")
    for signed in (canned, signer.generate_presigned_url(url, policy=policy)):
        claims = check(signed.removeprefix(BASE), SITE, keyring=KEYRING)
        assert (claims.path, claims.expires, claims.key_id) == ("/a/cat%20one.jpg", LATER, OLD.id)


URLS = {"canned": minted("/img/17/a.jpg?w=80&h=60"), "rsa": minted("/img/17/a.jpg", RSA)}


@pytest.mark.parametrize("name", URLS)
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(name: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(URLS[name], SITE, KEYRING, data)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_policys_reader(data: bytes) -> None:
    """Whatever is signed is read or refused."""
    try:
        read_policy(data)
    except CountermarkError:
        return
