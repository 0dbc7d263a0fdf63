"""Cloudflare Images and the timed HMAC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64
from countermark.core.errors import (
    Expired,
    LifetimeExceeded,
    NotYetValid,
    ParameterInvalid,
    SignatureInvalid,
    SignatureMissing,
    TargetMalformed,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.cloudflare_images import CloudflareImages
from countermark.signing.cloudflare_timed import CloudflareTimedHMAC
from countermark.signing.dialect import MintOrder
from countermark.signing.primitives import sign
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

IMAGES = Key(id="images", dialect="cloudflare_images", algorithm="hmac-sha256", material=b"images-dashboard-key")
TIMED = Key(id="timed", dialect="cloudflare_timed_hmac", algorithm="hmac-sha256", material=b"timed-rule-secret")
KEYRING = Keyring([IMAGES, TIMED])
IMAGES_REALM = realm_with("cloudflare_images")
TIMED_REALM = realm_with("cloudflare_timed_hmac", options={"cloudflare_timed_hmac": {"ttl": 3600}})


def image(target: str) -> str:
    order = MintOrder(now=NOW, expires=LATER)
    return CloudflareImages().mint(parse_target(target), IMAGES_REALM, IMAGES, order)


def timed(target: str, *, expires: int = LATER, **options: Value) -> str:
    where = realm_with("cloudflare_timed_hmac", options={"cloudflare_timed_hmac": {"ttl": 3600, **options}})
    return CloudflareTimedHMAC().mint(parse_target(target), where, TIMED, MintOrder(now=NOW, expires=expires))


def test_an_image_url_is_read_back() -> None:
    """Path, operations and expiry."""
    claims = check(image("/account/id/public?w=100&fit=cover"), IMAGES_REALM, keyring=KEYRING)
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/account/id/public", ["w=100", "fit=cover"])
    assert claims.expires == LATER


def test_a_variant_is_a_preset_where_the_site_says_so() -> None:
    """The last segment; what stands before it is the picture."""
    where = realm_with("cloudflare_images", options={"cloudflare_images": {"variants": True}})
    claims = check(image("/account/id/mobile"), where, keyring=KEYRING)
    assert (claims.path, claims.preset) == ("/account/id", "mobile")
    with pytest.raises(ParameterInvalid):
        check(image("/mobile"), where, keyring=KEYRING)


def test_a_url_without_an_end_needs_an_unsafe_option() -> None:
    """The vendor makes `exp` optional."""
    endless = f"/a/b?sig={sign(IMAGES, b'/a/b?').hex()}"
    where = realm_with("cloudflare_images", options={"cloudflare_images": {"unsafe_unlimited": False}})
    with pytest.raises(LifetimeExceeded):
        check(endless, where, keyring=KEYRING)
    assert check(endless, IMAGES_REALM, keyring=KEYRING).expires is None


def test_the_signature_stands_last() -> None:
    """Elsewhere it would hold too, which gives one URL several spellings."""
    path, _, query = image("/a/b?w=1").partition("?")
    w, exp, sig = query.split("&")
    for pairs in ([sig, w, exp], [w, sig, exp]):
        with pytest.raises(SignatureInvalid):
            check(f"{path}?{'&'.join(pairs)}", IMAGES_REALM, keyring=KEYRING)


@pytest.mark.parametrize("exp", [f"0{LATER}", f"{LATER}0", "", "%31700003600", "+1700003600"])
def test_an_expiry_has_ten_digits_though_signed(exp: str) -> None:
    """As in every dialect."""
    text = f"/a/b?exp={exp}"
    with pytest.raises((ParameterInvalid, TargetMalformed)):
        check(f"{text}&sig={sign(IMAGES, text.encode()).hex()}", IMAGES_REALM, keyring=KEYRING)


def test_a_timed_url_is_read_back() -> None:
    """In both encodings; it ends at its end and not after it."""
    for options in ({"encoding": "base64"}, {"encoding": "base64url"}):
        where = realm_with("cloudflare_timed_hmac", options={"cloudflare_timed_hmac": {"ttl": 3600, **options}})
        url = timed("/a.jpg?w=17", **options)  # type: ignore[arg-type]
        assert check(url, where, keyring=KEYRING).expires == LATER
        with pytest.raises(Expired):
            check(url, where, keyring=KEYRING, now=LATER)


def test_a_digit_does_not_move_from_the_query_to_the_time() -> None:
    """w=17 at 1700000000 is one text with w=1 at 71700000000."""
    url = timed("/a.jpg?w=17")
    moved = url.replace("w=17", "w=1").replace(f"verify={NOW}", f"verify=7{NOW}")
    with pytest.raises(ParameterInvalid):
        check(moved, TIMED_REALM, keyring=KEYRING)
    shifted = url.replace("w=17", "w=171").replace(f"verify={NOW}", f"verify={str(NOW)[1:]}")
    with pytest.raises(ParameterInvalid):
        check(shifted, TIMED_REALM, keyring=KEYRING)


def test_a_time_of_issue_in_the_future_is_refused() -> None:
    """The vendor takes it, and with it a life without end."""
    issued = NOW + 3600
    mac = base64(sign(TIMED, f"/a.jpg{issued}".encode())).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    with pytest.raises((NotYetValid, LifetimeExceeded)):
        check(f"/a.jpg?verify={issued}-{mac}", TIMED_REALM, keyring=KEYRING)


def test_a_timed_url_lives_no_longer_than_its_site_says() -> None:
    """The signer cannot choose."""
    with pytest.raises(ParameterInvalid):
        timed("/a.jpg", expires=LATER + 1)


def test_a_mac_is_escaped_in_one_way() -> None:
    """As the vendor's signers do: +, / and = as %2B, %2F and %3D."""
    url = timed("/a.jpg")
    for change in (url.replace("%3D", "="), url.replace("%3D", "%3d"), url.replace("%3D", ""), url + "%3D"):
        with pytest.raises(SignatureInvalid):
            check(change, TIMED_REALM, keyring=KEYRING)


@pytest.mark.parametrize("where", [IMAGES_REALM, TIMED_REALM])
def test_an_unsigned_url_is_missing_its_signature(where) -> None:  # type: ignore[no-untyped-def]
    """It is not the picture's."""
    with pytest.raises(SignatureMissing):
        check("/a.jpg?w=1", where, keyring=KEYRING)


@pytest.mark.parametrize("name", ["images", "timed"])
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(name: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    target = "/img/17/a1.jpg?w=17&h=21"
    url, where = (image(target), IMAGES_REALM) if name == "images" else (timed(target), TIMED_REALM)
    opens_nothing_else(url, where, KEYRING, data)
