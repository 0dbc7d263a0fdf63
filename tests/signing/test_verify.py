"""The one verify path: what it asks first, and what it hands on."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from msgspec.structs import replace

from countermark.core.errors import (
    AddressMismatch,
    ConfigurationInvalid,
    CountermarkError,
    CountryMismatch,
    Expired,
    KeyInactive,
    LifetimeExceeded,
    Malformed,
    MethodNotAllowed,
    NotYetValid,
    ParameterInvalid,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.model import SiteSettings
from countermark.signing.dialect import MintOrder, Presented
from countermark.signing.keycdn import KeyCDNImage, mint_keycdn_access, mint_keycdn_image
from countermark.signing.native import mint_native
from countermark.signing.realm import realm_of
from countermark.signing.table import DIALECTS, KEY_USES
from countermark.signing.verify import Proof, admit, prove, signer
from tests.signing.scene import ACCESS, CLIENT, HMAC, IMAGE, KEYRING, LATER, NOW, check, edge, realm

CAT = parse_target("/shop/cat.jpg?w=800&preset=card&th=YWJjZGVmZ2g")


def native(**facts: object) -> str:
    return mint_native(CAT, **{"audience": "shop", "key": HMAC, "expires": LATER, **facts})  # type: ignore[arg-type]


def test_claims_say_what_was_signed() -> None:
    """Path, remaining pairs, expiry, address, preset and key, without the dialect's own parameters."""
    network = ip_network("203.0.113.0/24")
    claims = check(native(address=network, not_before=NOW), realm())
    assert (claims.dialect, claims.syntax, claims.key_id) == ("native", "native", "k1")
    assert claims.path == "/shop/cat.jpg"
    assert [pair.raw for pair in claims.pairs] == ["w=800"]
    assert (claims.expires, claims.not_before, claims.address) == (LATER, NOW, network)
    assert (claims.preset, claims.transform_hash) == ("card", "YWJjZGVmZ2g")


def test_the_grant_id_is_of_what_was_signed() -> None:
    """SHA-256 over dialect, key id and message, each behind its length: the same for every order of the query."""
    target = native()
    message = b"countermark-v1\nread\nshop\n/shop/cat.jpg\nexp=1700003600&kid=k1&preset=card&th=YWJjZGVmZ2g&w=800"
    expected = hashlib.sha256(b"6:native2:k1" + str(len(message)).encode() + b":" + message).digest()
    path, _, query = target.partition("?")
    reordered = f"{path}?{'&'.join(reversed(query.split('&')))}"
    assert check(target, realm()).id == expected
    assert check(reordered, realm()).id == expected
    assert check(native(expires=LATER + 1), realm()).id != expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get", "OPTIONS", ""])
def test_only_reading_is_signed(method: str) -> None:
    """A signature for reading opens nothing else."""
    with pytest.raises(MethodNotAllowed):
        check(native(), realm(), method=method)


def test_a_head_request_is_a_read() -> None:
    """HEAD needs no signature of its own."""
    assert check(native(), realm(), method="HEAD") == check(native(), realm())


@pytest.mark.parametrize(
    ("target", "where", "dialect"),
    [
        ("/shop/cat.jpg?w=800", realm("native"), "native"),
        ("/shop/cat.jpg?exp=1700003600&kid=k1", realm("native", "keycdn_image"), "native"),
        ("/shop/cat.jpg?width=1", realm("keycdn_image"), "keycdn_image"),
        ("/shop/cat.jpg?sig=AAAA", realm("keycdn_access"), "keycdn_access"),
    ],
)
def test_nothing_presented_is_told_apart(target: str, where: object, dialect: str) -> None:
    """A URL without a signature of the site's own dialects is unsigned, whatever else it holds."""
    with pytest.raises(SignatureMissing) as refused:
        check(target, where)  # type: ignore[arg-type]
    assert refused.value.dialect == dialect


def test_a_dialect_that_the_site_does_not_accept_opens_nothing() -> None:
    """The request never chooses its dialect."""
    with pytest.raises(SignatureMissing):
        check(native(), realm("keycdn_image"))


@pytest.mark.parametrize("extra", ["&token=AAAAAAAAAAAAAAAAAAAAAA", "&expire=1700003600", "&%74oken=x"])
def test_two_dialects_in_one_url_are_refused(extra: str) -> None:
    """Otherwise two readers could obey different halves of it."""
    with pytest.raises(Malformed):
        check(native() + extra, realm("native", "keycdn_image", "keycdn_access"))


def test_both_keycdn_modes_may_share_a_site() -> None:
    """A token with an expiry is access control, one without is image processing."""
    where = realm("keycdn_image", "keycdn_access")
    image = mint_keycdn_image(parse_target("/shop/cat.jpg?width=10"), key=IMAGE)
    access = mint_keycdn_access(parse_target("/shop/cat.jpg"), key=ACCESS, expires=LATER)
    assert check(image, where).dialect == "keycdn_image"
    assert check(access, where).dialect == "keycdn_access"


def test_a_key_of_another_site_or_dialect_signs_nothing_here() -> None:
    """A key is bound to one dialect and to its sites."""
    blog_only = Keyring([replace(HMAC, sites=("blog",))])
    with pytest.raises(SignatureInvalid):
        check(native(), realm(), keyring=blog_only)
    stray = Keyring([replace(HMAC, dialect="keycdn_image")])
    with pytest.raises(SignatureInvalid):
        check(native(), realm(), keyring=stray)


def test_an_empty_keyring_opens_nothing() -> None:
    """No key configured means that everything is refused."""
    image = mint_keycdn_image(parse_target("/shop/cat.jpg?width=10"), key=IMAGE)
    for target, where in ((native(), realm()), (image, realm("keycdn_image"))):
        with pytest.raises(SignatureInvalid):
            check(target, where, keyring=Keyring([]))


def test_every_candidate_is_tried_whatever_matches() -> None:
    """The time taken must not tell which key it was."""
    tried: list[str] = []

    class Watched(KeyCDNImage):
        def holds(self, presented: Presented, key: Key) -> bool:
            tried.append(key.id)
            return super().holds(presented, key)

    keys = [replace(IMAGE, id="first"), replace(IMAGE, id="second", material=b"x" * 16)]
    request = edge(mint_keycdn_image(parse_target("/shop/cat.jpg?width=10"), key=keys[0]))
    presented = Watched().read(request, realm("keycdn_image"))
    assert presented is not None
    assert signer(presented, Watched(), realm("keycdn_image"), Keyring(keys)).id == "first"
    assert tried == ["first", "second"]


OLD = {"expires": NOW - 1}
FAR = {"expires": NOW + HMAC.max_life + 1}
ELSEWHERE = {"address": ip_network("198.51.100.0/24")}
EARLY = {"not_before": NOW + 1}
REVOKED = Keyring([replace(HMAC, state="revoked")])


@pytest.mark.parametrize(
    ("facts", "keyring", "expected"),
    [
        (OLD | ELSEWHERE, REVOKED, KeyInactive),
        (EARLY | ELSEWHERE, KEYRING, NotYetValid),
        (OLD | ELSEWHERE, KEYRING, Expired),
        (FAR | ELSEWHERE, KEYRING, LifetimeExceeded),
        (ELSEWHERE, KEYRING, AddressMismatch),
    ],
)
def test_checks_come_in_their_order(
    facts: dict[str, object], keyring: Keyring, expected: type[CountermarkError]
) -> None:
    """Key, then time, then address; each is only told of an authentic URL."""
    target = native(**facts)
    with pytest.raises(CountermarkError) as refused:
        check(target, realm(), keyring=keyring)
    assert type(refused.value) is expected
    assert refused.value.dialect == "native"
    with pytest.raises(SignatureInvalid):
        check(target.replace("w=800", "w=801"), realm(), keyring=keyring)


@pytest.mark.parametrize(
    "dates", [{"not_before": NOW + 1}, {"not_after": NOW - 1}, {"state": "pending"}, {"state": "revoked"}]
)
def test_a_key_out_of_its_dates_opens_nothing(dates: dict[str, object]) -> None:
    """Though the signature is authentic."""
    with pytest.raises(KeyInactive):
        check(native(), realm(), keyring=Keyring([replace(HMAC, **dates)]))


def test_the_last_second_is_valid_and_the_next_is_not() -> None:
    """The expiry itself still belongs to the URL's life, as does the longest life."""
    assert check(native(expires=NOW), realm(), now=NOW)
    with pytest.raises(Expired):
        check(native(expires=NOW), realm(), now=NOW + 0.5)
    assert check(native(expires=NOW + HMAC.max_life), realm(), now=NOW)


def test_errors_for_the_public_name_no_key_and_no_signature() -> None:
    """An unknown key and a wrong signature look the same from outside."""
    unknown = native(key=replace(HMAC, id="k9"))
    forged = native(key=replace(HMAC, material=b"x" * 32))
    details = []
    for target in (unknown, forged):
        with pytest.raises(SignatureInvalid) as refused:
            check(target, realm())
        details.append(refused.value.detail)
    assert details[0] == details[1]
    assert "k9" not in details[0]


def admitted(now: float = NOW, country: str = "", **facts: Any) -> Claims:
    """Authentic claims with these facts, looked at now."""
    proof = prove(edge(native()), realm(), KEYRING)
    claims = replace(proof.claims, **facts)
    return admit(Proof(claims=claims, key=proof.key), ip_address(CLIENT), now, country=country)


def test_an_issuer_may_be_a_minute_ahead() -> None:
    """A URL of the future is one that was made to outlive its own rules."""
    assert admitted(issued=NOW + 60)
    assert admitted(issued=NOW - 3600)
    with pytest.raises(NotYetValid):
        admitted(issued=NOW + 61)


def test_an_exclusive_expiry_is_over_at_its_second() -> None:
    """RFC 7519 §4.1.4: on or after the time it must not be taken."""
    assert admitted(now=LATER - 0.5, exclusive_expiry=True)
    assert admitted(now=LATER)
    with pytest.raises(Expired):
        admitted(now=LATER, exclusive_expiry=True)


@pytest.mark.parametrize("country", ["", "FR", "ch"])
def test_a_country_must_be_known_and_named(country: str) -> None:
    """One that nobody tells is none of those that are bound; the refusal names the dialect and no country."""
    bound = frozenset({"CH", "DE"})
    assert admitted(country="CH", countries=bound)
    assert admitted(country=country)
    with pytest.raises(CountryMismatch) as refused:
        admitted(country=country, countries=bound)
    assert refused.value.dialect == "native"
    assert "CH" not in refused.value.detail


def test_checks_of_a_client_come_after_those_of_time() -> None:
    """An expired URL tells nobody where it would have opened."""
    with pytest.raises(Expired):
        admitted(now=LATER + 1, countries=frozenset({"CH"}))
    with pytest.raises(AddressMismatch):
        admitted(address=ip_network("198.51.100.0/24"), countries=frozenset({"CH"}))


IP = {"keycdn_access": {"ip": "true"}}


def test_the_table_is_keyed_by_the_dialects_own_names() -> None:
    """And tells the keyring file which algorithms each takes."""
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    assert KEY_USES["native"].algorithms == ("hmac-sha256", "ed25519")


def test_keycdn_answers_with_the_vendors_statuses() -> None:
    """403 for missing and bad tokens, 410 for expired ones; the native dialect has the house's own."""
    for name in ("keycdn_image", "keycdn_access"):
        statuses = {reason: denial.status for reason, denial in DIALECTS[name].denials.items()}
        assert statuses == {"signature_missing": 403, "signature_invalid": 403, "expired": 410}
    assert not DIALECTS["native"].denials


def test_a_site_becomes_a_realm() -> None:
    """The audience is the site's name unless another is set; an unknown dialect is a fault."""
    site = SiteSettings(name="shop", origin="photos", accept=("native", "keycdn_access"), dialects=IP)
    assert realm_of(site) == realm("native", "keycdn_access", keycdn_ip=True)
    assert realm_of(replace(site, audience="img")).audience == "img"
    with pytest.raises(ConfigurationInvalid):
        realm_of(replace(site, accept=("telegraph",)))


def test_the_client_of_an_unbound_url_does_not_matter() -> None:
    """IPv4 or IPv6."""
    assert check(native(), realm(), client="2001:db8::1") == check(native(), realm(), client=CLIENT)


def test_a_signature_of_the_same_name_is_left_to_its_own_dialect() -> None:
    """Without `kid` it is none of ours, where the site takes others too; alone we say what is missing."""
    key = Key(id="c1", dialect="cloudflare_images", algorithm="hmac-sha256", material=bytes(range(32)))
    both, keyring = realm("native", "cloudflare_images"), Keyring([HMAC, key])
    order = MintOrder(now=NOW, expires=LATER)
    theirs = DIALECTS["cloudflare_images"].mint(parse_target("/a.jpg?w=1"), both, key, order)
    assert check(theirs, both, keyring=keyring).dialect == "cloudflare_images"
    ours = mint_native(parse_target("/a.jpg?w=1"), audience="shop", key=HMAC, expires=LATER)
    assert check(ours, both, keyring=keyring).dialect == "native"
    with pytest.raises(ParameterInvalid):
        check(ours.replace("kid=k1&", ""), realm())
    for forged in (f"{theirs}&kid=k1", theirs.replace("?", "?kid=k1&"), ours.replace("kid=k1&", "")):
        with pytest.raises(CountermarkError):
            check(forged, both, keyring=keyring)
