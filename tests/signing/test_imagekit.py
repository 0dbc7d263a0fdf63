"""ImageKit: the border of the expiry, operations in path and query, sources."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import CountermarkError, Expired, ParameterInvalid, SiteUnknown
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder
from countermark.signing.imagekit import ImageKit
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

KEY = Key(id="k", dialect="imagekit", algorithm="hmac-sha1", material=b"private_account_key")
RING = Keyring([KEY])
WHERE = realm_with("imagekit", prefix="/demo/")


def signed(text: str, expires: str = "") -> str:
    signature = hmac.digest(KEY.material, f"{text}{expires or '9999999999'}".encode(), "sha1").hex()
    mark = "&" if "?" in text else "?"
    return f"/demo/{text}{mark}{f'ik-t={expires}&' if expires else ''}ik-s={signature}"


@pytest.mark.parametrize(
    ("text", "pairs", "source"),
    [
        ("a.jpg", [], "a.jpg"),
        ("tr:w-300,h-200,e-sharpen-3/a/b.jpg", [("w", "300"), ("h", "200"), ("e-sharpen", "3")], "a/b.jpg"),
        ("a.jpg?tr=w-300&v=2", [("w", "300"), ("v", "2")], "a.jpg"),
        ("https://origin.test/a.jpg", [], "https://origin.test/a.jpg"),
        ("tr:w-3/https%3A%2F%2Forigin.test%2Fa.jpg", [("w", "3")], "https://origin.test/a.jpg"),
    ],
)
def test_operations_and_source_are_handed_on(text: str, pairs: list[tuple[str, str]], source: str) -> None:
    """From the path or from the query."""
    claims = check(signed(text), WHERE, keyring=RING)
    assert ([(pair.name, pair.value) for pair in claims.pairs], claims.source) == (pairs, source)


def test_a_named_transformation_is_a_preset() -> None:
    """One, of the site's own."""
    assert check(signed("tr:n-thumb,w-3/a.jpg"), WHERE, keyring=RING).preset == "thumb"
    with pytest.raises(ParameterInvalid):
        check(signed("tr:n-a,n-b/a.jpg"), WHERE, keyring=RING)


@pytest.mark.parametrize("text", ["tr:w-1:h-2/a.jpg", "tr:w-1/a.jpg?tr=w-2"])
def test_what_cannot_be_one_rendition_is_refused(text: str) -> None:
    """Chains, and operations said in both places."""
    with pytest.raises(ParameterInvalid):
        check(signed(text), WHERE, keyring=RING)


def test_digits_do_not_wander_into_the_expiry() -> None:
    """Path and expiry are glued; ten digits, always, keep one from the other."""
    good = signed("a.jpg", str(LATER))
    assert check(good, WHERE, keyring=RING).expires == LATER
    first, rest = str(LATER)[0], str(LATER)[1:]
    with pytest.raises(CountermarkError):
        check(good.replace("a.jpg", f"a.jpg{first}").replace(f"ik-t={LATER}", f"ik-t={rest}"), WHERE, keyring=RING)
    with pytest.raises(CountermarkError):
        check(good.replace("a.jpg", f"a.jpg{LATER}").replace(f"ik-t={LATER}&", ""), WHERE, keyring=RING)
    with pytest.raises(Expired):
        check(signed("a.jpg", str(NOW - 1)), WHERE, keyring=RING)


@pytest.mark.parametrize("change", ["&x=1", "&ik-t=1700003600"])
def test_the_signature_stands_last(change: str) -> None:
    """And the expiry before it."""
    with pytest.raises(ParameterInvalid):
        check(signed("a.jpg") + change, WHERE, keyring=RING)


def test_the_endpoint_is_the_sites_prefix() -> None:
    """It is not signed, so it must be there."""
    with pytest.raises(SiteUnknown):
        check(signed("a.jpg").replace("/demo/", "/other/"), WHERE, keyring=RING)


def test_minted_urls_are_read_back() -> None:
    """In both places of the operations."""
    order = MintOrder(now=NOW, expires=LATER)
    for raw in ("/demo/tr:w-3/a.jpg", "/demo/a.jpg?tr=w-3"):
        claims = check(ImageKit().mint(parse_target(raw), WHERE, KEY, order), WHERE, keyring=RING)
        assert (claims.expires, claims.pairs[0].raw) == (LATER, "w-3")
    with pytest.raises(ParameterInvalid):
        ImageKit().mint(parse_target("/demo/a.jpg?ik-t=1"), WHERE, KEY, order)


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(signed("tr:w-17/img/17.jpg?v=2", str(LATER)), WHERE, RING, data)
