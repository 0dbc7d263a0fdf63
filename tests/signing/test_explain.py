"""Explanations: the first failed check, the signed bytes, and what happened on the way."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.core.encoding import read_base64url
from countermark.core.errors import CountermarkError
from countermark.core.target import MAX_LENGTH, parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.cloudfront import canned_policy, write_text
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.explain import Explanation, explain
from countermark.signing.keycdn import mint_keycdn_access, mint_keycdn_image
from countermark.signing.native import mint_native
from countermark.signing.pixel_fiddler import PixelFiddler
from countermark.signing.primitives import sign
from countermark.signing.repairs import lenient_target, repairs
from countermark.signing.table import DIALECTS
from tests.signing.pairs import pair_key
from tests.signing.scene import ACCESS, HMAC, IMAGE, KEYRING, LATER, NOW, SPACE, edge, realm, realm_with

NATIVE = mint_native(parse_target("/shop/Cat%20One.jpg?text=a%20b&w=800"), audience="shop", key=HMAC, expires=LATER)
SIGNATURE = NATIVE.rpartition("=")[2]
SPACE_REALM = realm_with("pixel_fiddler")
IMAGED = mint_keycdn_image(parse_target("/a.jpg?width=1&height=2&crop=smart"), key=IMAGE)


def told(target: str, where: Realm | None = None, *, keyring: Keyring = KEYRING, now: float = NOW) -> Explanation:
    return explain(target, realm=where or realm(), keyring=keyring, now=now)


def changes(found: Explanation) -> dict[str, bool]:
    return {finding.change: finding.proven for finding in found.findings}


def test_a_good_url_is_shown_with_what_it_signs() -> None:
    """The parts, in order, by name."""
    found = told(NATIVE)
    assert found.good
    assert (found.dialect, found.key_id, found.expires_in, found.step) == ("native", "k1", 3600, "")
    assert [(part.name, part.text) for part in found.parts] == [
        ("version", "countermark-v1"),
        ("method class", "read"),
        ("audience", "shop"),
        ("path", "/shop/Cat%20One.jpg"),
        ("query", "exp=1700003600&kid=k1&text=a%20b&w=800"),
    ]


@pytest.mark.parametrize(
    ("target", "change"),
    [
        (NATIVE + "&utm_source=mail&fbclid=x", "extra-parameter"),
        (NATIVE + "&page=2", "extra-parameter"),
        (NATIVE.replace("kid=k1&", ""), "missing-parameter"),
        (NATIVE.replace("&", "&amp;"), "html-entities"),
        (NATIVE.replace("a%20b", "a+b"), "plus"),
        (NATIVE.replace("a%20b", "a b"), "escaping"),
        (NATIVE.replace("Cat%20One", "Cat One"), "escaping"),
        (NATIVE.replace("Cat%20One", "Cat%2520One"), "escaping"),
        (NATIVE.replace("w=800", "%77=800"), "escaping"),
        (NATIVE.replace("Cat", "cat"), "case"),
        (NATIVE.replace(".jpg", ".JPG"), "case"),
        (NATIVE.replace("/shop/", "/shop//"), "slash"),
        (NATIVE.replace("/shop/", "//shop/"), "slash"),
        (NATIVE.replace(".jpg", ".jpg/"), "slash"),
        (NATIVE.replace(SIGNATURE, SIGNATURE + "%3D"), "signature-text"),
        (NATIVE.replace(SIGNATURE, SIGNATURE + "%0A"), "signature-text"),
    ],
)
def test_what_happened_on_the_way_is_named(target: str, change: str) -> None:
    """Undoing the change makes the signature hold, and that is said."""
    found = told(target)
    assert not found.good
    assert changes(found).get(change) is True


def test_a_reordered_keycdn_query_is_put_in_order() -> None:
    """Where order is signed, the signed order is found."""
    found = told(IMAGED.replace("width=1&height=2", "height=2&width=1"), realm("keycdn_image"))
    assert changes(found) == {"order": True}
    assert "width=1&height=2&crop=smart" in found.findings[0].detail


def test_a_collapsed_slash_is_found() -> None:
    """The signer wrote two slashes, a proxy made them one."""
    path = parse_target("/shop//cat.jpg", waive=frozenset({"empty-segment"}))
    signed = mint_native(path, audience="shop", key=HMAC, expires=LATER)
    assert changes(told(signed.replace("//", "/"))) == {"slash": True}


def test_a_hexadecimal_signature_is_recognised() -> None:
    """Many libraries print a MAC so."""
    raw = read_base64url(SIGNATURE)
    assert raw is not None
    assert changes(told(NATIVE.replace(SIGNATURE, raw.hex())))["signature-text"] is True


@pytest.mark.parametrize(
    ("target", "step", "reason"),
    [
        ("/a\\b", "target", "target_malformed"),
        ("/shop/cat.jpg", "dialect", "signature_missing"),
        (NATIVE.replace("w=800", "sid=800"), "reading", "parameter_invalid"),
        (NATIVE.replace("w=800", "w=801"), "signature", "signature_invalid"),
    ],
)
def test_the_first_failed_check_is_named(target: str, step: str, reason: str) -> None:
    """By its place in the verify path."""
    found = told(target)
    assert (found.good, found.step, found.reason) == (False, step, reason)


def test_later_checks_are_named_too() -> None:
    """Method, key, time and address."""
    bound = mint_native(parse_target("/a"), audience="shop", key=HMAC, expires=LATER, address=ip_network("203.0.113.7"))
    found = explain(bound, realm=realm(), keyring=KEYRING, now=NOW, client=ip_address("203.0.113.8"))
    assert (found.step, found.private) == ("address", "client is 203.0.113.8")
    assert explain(NATIVE, realm=realm(), keyring=KEYRING, now=NOW, method="POST").step == "method"
    assert told(NATIVE, keyring=Keyring([replace(HMAC, state="revoked")])).step == "key"
    assert told(NATIVE, now=LATER - 8 * 86_400).step == "time"


def test_the_clock_is_named_in_seconds() -> None:
    """How long ago it expired, how long until it begins, and milliseconds taken for seconds."""
    found = told(NATIVE, now=LATER + 30)
    assert (found.step, found.expires_in) == ("time", -30)
    assert found.findings[0].change == "clock"
    assert "30 seconds ago" in found.findings[0].detail
    early = mint_native(parse_target("/a"), audience="shop", key=HMAC, expires=LATER, not_before=NOW + 10)
    assert changes(told(early)) == {"clock": True}
    assert changes(told(NATIVE.replace("1700003600", "1700003600000")))["clock"] is False


def test_a_time_of_signing_in_the_future_is_told_in_seconds() -> None:
    """Until the minute that an issuer's clock may be ahead."""
    order = MintOrder(now=NOW + 100, expires=NOW + 400)
    url = PixelFiddler().mint(parse_target("/a.jpg?w=1"), SPACE_REALM, SPACE, order)
    found = told(url, SPACE_REALM, keyring=Keyring([SPACE]))
    assert (found.step, found.findings[0].change) == ("time", "clock")
    assert found.findings[0].detail.startswith("valid in 41 seconds")


def test_a_vendors_signature_is_told_to_nobody() -> None:
    """Neither the one that came nor the one that would have been right, whatever its name is in the URL."""
    order = MintOrder(now=NOW, expires=NOW + 300)
    url = PixelFiddler().mint(parse_target("/a.jpg?w=1&bg=fff"), SPACE_REALM, SPACE, order)
    signature = url.rpartition("=")[2]
    for changed in (url.replace("w=1&bg=fff", "bg=fff&w=1"), url + "&utm_source=mail", url.replace("/a", "/A")):
        found = told(changed, SPACE_REALM, keyring=Keyring([SPACE]))
        assert not found.good
        assert any(finding.proven for finding in found.findings)
        assert signature not in msgspec.json.encode(found).decode()


@pytest.mark.parametrize(
    ("keys", "said", "proven"),
    [
        ([], "the keyring has no key of the dialect native", False),
        ([replace(HMAC, id="k2")], "key k2 made this signature, and the URL names 'k1'", True),
        (
            [replace(HMAC, id="k2", material=bytes(32))],
            "the URL names the key 'k1'; of native the site shop has k2",
            False,
        ),
        ([replace(HMAC, dialect="x")], "key k1 made this signature, and belongs to the dialect x", True),
        ([replace(HMAC, sites=("blog",))], "key k1 made this signature, and does not open the site shop", True),
        ([replace(HMAC, material=bytes(32))], "another secret than that of k1 signed", False),
    ],
)
def test_a_wrong_key_is_named(keys: list[Key], said: str, proven: bool) -> None:
    """Not there, another dialect's, another site's, of another name, or with another secret."""
    (finding,) = told(NATIVE, keyring=Keyring(keys)).findings
    assert (finding.change, finding.proven) == ("key", proven)
    assert said in finding.detail


def test_a_keys_wrong_algorithm_is_named() -> None:
    """The secret is right and the algorithm is another one."""
    key = Key(id="t1", dialect="thumbor", algorithm="hmac-sha256", material=b"a secret of thumbor's")
    where = realm_with("thumbor")
    url = DIALECTS["thumbor"].mint(parse_target("/300x200/smart/a.jpg"), where, key, MintOrder(now=NOW, expires=LATER))
    (finding,) = told(url, where, keyring=Keyring([replace(key, algorithm="hmac-sha1")])).findings
    assert (finding.change, finding.proven) == ("key", True)
    assert finding.detail == "the signature is hmac-sha256 with the secret of key t1, which is for hmac-sha1"


def test_a_keys_dates_are_named() -> None:
    """An active key may have ended all the same."""
    ended = Keyring([replace(HMAC, not_after=NOW - 60)])
    found = told(NATIVE, keyring=ended)
    assert (found.step, found.findings[0].detail[:46]) == ("key", "key k1 counted until 2023-11-14T22:12:20Z; the")


def test_another_dialect_is_named() -> None:
    """One that the site does not take, whether or not it is known to hold; and two in one request."""
    found = told(IMAGED)
    assert (found.step, changes(found)) == ("dialect", {"dialect": True})
    assert "signed in the dialect keycdn_image, and read here as native" in found.findings[0].detail
    assert changes(told(IMAGED, keyring=Keyring([]))) == {"dialect": False}
    both = mint_native(parse_target("/a.jpg?token=x"), audience="shop", key=HMAC, expires=LATER)
    mixed = told(both, realm("native", "keycdn_access"))
    assert (mixed.step, mixed.reason, mixed.private) == ("dialect", "dialects_mixed", "native and keycdn_access")


def test_another_host_is_named() -> None:
    """Where scheme and host are signed, those of the settings are compared with those that arrived."""
    key = pair_key("KC", "cloudfront", "ecdsa-p256")
    order = MintOrder(now=NOW, expires=LATER)
    there = realm_with("cloudfront", base_url="https://img.example.com")
    url = DIALECTS["cloudfront"].mint(parse_target("/a.jpg"), there, key, order)
    here = realm_with("cloudfront", base_url="https://cdn.example.com")
    found = explain(url, realm=here, keyring=Keyring([key]), now=NOW, host="img.example.com")
    assert changes(found) == {"host": True}
    assert "signed for https://img.example.com, and sites.shop.base_url is https://cdn.example.com" in (
        found.findings[0].detail
    )


def test_the_place_of_a_glued_secret_is_shown_without_it() -> None:
    """{secret} stands where the vendor's formula has it."""
    access = mint_keycdn_access(parse_target("/a.jpg"), key=ACCESS, expires=LATER)
    found = told(access, realm("keycdn_access"))
    assert [part.text for part in found.parts] == ["/a.jpg", "{secret}", str(LATER)]
    found = told(IMAGED, realm("keycdn_image"))
    assert [part.text for part in found.parts] == ["/a.jpg", "width=1&height=2&crop=smart", "{secret}"]


@given(st.text(alphabet="/?&=%abk+#\\ é.2Fsigxpdt1700", max_size=60))
def test_no_url_breaks_an_explanation_or_gets_its_signature_out(tail: str) -> None:
    """Anything is explained, and the signature that would be right is never in the text."""
    target = f"/shop/{tail}&exp={LATER}&kid=k1&sig={'A' * 43}"
    text = msgspec.json.encode(told(target)).decode()
    try:
        wanted = mint_native(parse_target(target.partition("&exp")[0]), audience="shop", key=HMAC, expires=LATER)
    except CountermarkError:
        return
    assert wanted.rpartition("=")[2] not in text


@pytest.mark.parametrize("where", [realm(), realm("keycdn_image"), realm("keycdn_access", keycdn_ip=True)])
def test_no_secret_and_no_expected_signature_is_printed(where: Realm) -> None:
    """Neither for a forged URL nor for a changed one."""
    for target in (NATIVE, IMAGED):
        forged = target.replace(target[-20:], "A" * 20)
        text = msgspec.json.encode(told(forged, where)).decode()
        assert target[-20:] not in text
        for key in KEYRING.keys:
            assert key.material.decode("latin-1") not in text


def test_an_explanation_costs_a_bounded_amount() -> None:
    """A target as long and as full as can be leads to a few hundred tries, each of which is read only once."""
    pairs = "&".join(f"p{n}={'%20' * 30}" for n in range(60))
    target = lenient_target(f"/{'a/' * 300}b?{pairs}&exp={LATER}&kid=ed&sig={'A' * 86}")
    assert len(target.raw) <= MAX_LENGTH
    request = replace(edge("/a"), target=target)
    key_ids = tuple(f"k{n}" for n in range(1000))
    tried = list(repairs(request, own=frozenset({"exp", "kid", "sig"}), fields=frozenset(), key_ids=key_ids))
    assert len(tried) < 1000


def test_a_cookie_is_explained_with_its_policy() -> None:
    """From the header fields that are given; without them nothing was presented."""
    key = pair_key("KC", "cloudfront_cookie", "ecdsa-p256")
    where = realm_with("cloudfront_cookie", base_url="https://img.example.com")
    policy = canned_policy("https://img.example.com/shop/*", LATER)
    values = {"Policy": write_text(policy), "Signature": write_text(sign(key, policy)), "Key-Pair-Id": key.id}
    cookie = "; ".join(f"CloudFront-{n}={v}" for n, v in {**values, "Hash-Algorithm": "SHA256"}.items())
    keyring, fields = Keyring([key]), {"cookie": cookie}
    found = explain("/shop/a.jpg", realm=where, keyring=keyring, now=NOW, headers=fields)
    assert (found.good, found.dialect, found.parts[1].text) == (True, "cloudfront_cookie", policy.decode())
    assert explain("/shop/a.jpg", realm=where, keyring=keyring, now=NOW).reason == "signature_missing"
    elsewhere = explain("/Shop/a.jpg", realm=where, keyring=keyring, now=NOW, headers=fields)
    assert changes(elsewhere) == {"case": True}


def test_no_finding_shows_a_vendors_signature() -> None:
    """The signature of a repaired URL would be the one that was expected."""
    key = Key(id="a", dialect="akamai_edgeauth", algorithm="hmac-sha256", material=bytes(range(32)))
    where = realm_with("akamai_edgeauth")
    order = MintOrder(now=NOW, expires=LATER)
    target = DIALECTS["akamai_edgeauth"].mint(parse_target("/a.jpg?w=1&h=2"), where, key, order)
    changed = target.replace("w=1&h=2", "h=2&w=1")
    found = explain(changed, realm=where, keyring=Keyring([key]), now=NOW)
    assert changes(found)["order"]
    assert not any(target.rpartition("hmac=")[2] in finding.detail for finding in found.findings)
