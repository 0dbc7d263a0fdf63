"""OG Image API: one canonical form, and two that glue."""

from __future__ import annotations

import hmac
import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    Expired,
    LifetimeExceeded,
    Malformed,
    ParameterInvalid,
    SignatureInvalid,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.ogimage import OGImage
from countermark.web.problems import answer_error
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

ACCOUNT = Key(id="og1", dialect="ogimage", algorithm="hmac-sha256", material=b"account-secret-of-thirty-two-byte")
NEXT = Key(id="og2", dialect="ogimage", algorithm="hmac-sha256", material=b"the-next-secret-of-thirty-two-byte")
RING = Keyring([ACCOUNT, NEXT])
ENDPOINT = "/api/signed/image"


def account(**options: Value) -> Realm:
    return realm_with("ogimage", options={"ogimage": options})


def opened(target: str, where: Realm | None = None, **facts: Any) -> Claims:
    return check(target, where or account(), keyring=RING, **facts)


def minted(target: str, where: Realm | None = None, key: Key = ACCOUNT, **order: Any) -> str:
    given = MintOrder(**{"now": NOW, "expires": LATER, **order})
    return OGImage().mint(parse_target(target), where or account(), key, given)


def mac(text: str) -> str:
    return hmac.digest(ACCOUNT.material, text.encode(), "sha256").hex()


def test_the_form_is_the_documented_one() -> None:
    """Version, path, and the sorted query in RFC 3986's escapes, whatever the wire's order and spelling."""
    text = "og1\n/a.jpg\nbg=a%20b%2Cc~d&exp=1700003600&w=10"
    for query in (f"w=10&bg=a+b,c~d&exp={LATER}", f"exp={LATER}&bg=a%20b%2cc%7Ed&w=%310"):
        claims = opened(f"/a.jpg?sig={mac(text)}&{query}")
        assert [(pair.name, pair.value) for pair in sorted(claims.pairs, key=lambda pair: pair.name)] == [
            ("bg", "a b,c~d"),
            ("w", "10"),
        ]
        assert (claims.path, claims.expires, claims.cache_life) == ("/a.jpg", LATER, 0)


def test_every_key_is_tried_unless_one_is_named() -> None:
    """`kid` is signed, and names the only key that counts."""
    assert opened(minted("/a.jpg?w=1", key=NEXT)).key_id == "og2"
    assert opened(minted("/a.jpg?w=1&kid=og2", key=NEXT)).key_id == "og2"
    with pytest.raises(SignatureInvalid):
        opened(minted("/a.jpg?w=1&kid=og1", key=NEXT))


def test_an_address_may_be_signed() -> None:
    """And then it binds."""
    url = minted("/a.jpg?w=1", address=ip_address(CLIENT))
    assert str(opened(url).address) == f"{CLIENT}/32"
    with pytest.raises(AddressMismatch):
        opened(url, client="198.51.100.1")


@pytest.mark.parametrize(
    "target", ["/a.jpg?w=1&w=2", "/a.jpg?w", "/a.jpg?%77=1", "/a.jpg?a%20b=1", f"/a.jpg?{'n' * 65}=1"]
)
def test_a_name_is_plain_and_stands_once(target: str) -> None:
    """Another spelling of a reserved name would be read by one and not by the other."""
    with pytest.raises(Malformed):
        opened(f"{target}&exp={LATER}&sig={'0' * 64}")


@pytest.mark.parametrize("sig", ["", "00", "g" * 64, "A" * 64, "0" * 63, "0" * 66])
def test_a_signature_has_one_spelling(sig: str) -> None:
    """64 digits, in lower case."""
    with pytest.raises(SignatureInvalid):
        opened(f"/a.jpg?exp={LATER}&sig={sig}")


@pytest.mark.parametrize("exp", ["", "170000360", "17000036000", "0170000360", "+700003600"])
def test_an_expiry_has_ten_digits(exp: str) -> None:
    """Although it is signed: a glued form needs it."""
    with pytest.raises(ParameterInvalid):
        opened(f"/a.jpg?exp={exp}&sig={'0' * 64}")


def test_it_ends() -> None:
    """After its last second, and a life beyond the key's is none."""
    assert opened(minted("/a.jpg?w=1"), now=LATER)
    with pytest.raises(Expired):
        opened(minted("/a.jpg?w=1"), now=LATER + 1)
    with pytest.raises(LifetimeExceeded):
        opened(minted("/a.jpg?w=1", expires=NOW + 30 * 86_400))


def test_the_vendors_readings_are_off() -> None:
    """Neither opens by default, nor does the default open where another is set."""
    glued = f"{ENDPOINT}?title=Hello&exp={LATER}&sig={mac(f'title=Hello{LATER}')}"
    raw = f"{ENDPOINT}?title=Hello&exp={LATER}&sig={mac(f'title=Hello&exp={LATER}')}"
    for url, profile, other in ((glued, "params+exp", raw), (raw, "raw", glued)):
        assert opened(url, account(unsafe_profile=profile)).pairs[0].value == "Hello"
        for refused, where in ((url, account()), (other, account(unsafe_profile=profile))):
            with pytest.raises(SignatureInvalid):
                opened(refused, where)


@pytest.mark.parametrize("profile", ["params+exp", "raw"])
def test_a_form_without_the_path_holds_at_one_path(profile: str) -> None:
    """Else one signature of w=800 would open the whole site."""
    where = account(unsafe_profile=profile, source="image")
    url = minted(f"{ENDPOINT}?image=cats/a%20b.jpg&w=8", where)
    assert (opened(url, where).source, opened(url, where).pairs[0].raw) == ("cats/a%20b.jpg", "w=8")
    with pytest.raises(SignatureInvalid):
        opened(url.replace(ENDPOINT, "/secret.jpg"), where)


def test_digits_do_not_wander_into_the_expiry() -> None:
    """w=17 until 1700003600 is not w=1 until 71700003600."""
    where = account(unsafe_profile="params+exp")
    url = minted(f"{ENDPOINT}?w=17", where)
    with pytest.raises(CountermarkError):
        opened(url.replace("w=17&exp=", "w=1&exp=7"), where)


def test_a_named_source_is_required() -> None:
    """Where the site says that a parameter names the picture, a URL without it names none."""
    for query in ("w=1", "image=&w=1"):
        with pytest.raises(ParameterInvalid):
            opened(minted(f"{ENDPOINT}?{query}"), account(source="image"))


def test_it_says_no_as_the_vendor_does() -> None:
    """400 with one sentence in JSON."""
    for forged, said in (("w=2", "Signature invalid"), ("w=1", "URL expired")):
        with pytest.raises(CountermarkError) as refused:
            opened(minted("/a.jpg?w=1").replace("w=1", forged), now=LATER + 1)
        answer = answer_error(refused.value, instance="r", denials={"ogimage": OGImage.denials})
        assert (answer.status, json.loads(answer.body)) == (400, {"error": said})
        assert dict(answer.headers)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("profile", ["og1", "params+exp", "raw"])
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(profile: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same picture."""
    where = account(unsafe_profile=profile)
    url = minted(f"{ENDPOINT}?w=17&crop=1,2,3,4&bg=a%20b", where)
    opens_nothing_else(url, where, RING, data)
