"""Fastly's sample token: what its glued text must not open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    Expired,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder
from countermark.signing.fastly import FastlyToken
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

KEY = Key(id="service", dialect="fastly_token", algorithm="hmac-sha1", material=b"fastly service secret")
KEYRING = Keyring([KEY])
REALM = realm_with("fastly_token")


def mint(target: str, expires: int = LATER) -> str:
    return FastlyToken().mint(parse_target(target), REALM, KEY, MintOrder(now=NOW, expires=expires))


def test_a_minted_url_opens_its_path_until_its_time() -> None:
    """No operations, for the query is not signed."""
    claims = check(mint("/img/a%20b.jpg"), REALM, keyring=KEYRING)
    assert (claims.path, claims.pairs, claims.expires) == ("/img/a%20b.jpg", (), LATER)
    with pytest.raises(Expired):
        check(mint("/a.jpg"), REALM, keyring=KEYRING, now=LATER + 1)


def test_a_digit_does_not_move_from_the_path_to_the_expiry() -> None:
    """A token for /img/17 is also one for /img/1 with eleven digits, and for /img/171 with nine and so on."""
    token = mint("/img/17").partition("_")[2]
    for path, expiry in (("/img/1", f"7{LATER}"), ("/img/171", str(LATER)[1:])):
        with pytest.raises(ParameterInvalid):
            check(f"{path}?token={expiry}_{token}", REALM, keyring=KEYRING)


@pytest.mark.parametrize("query", ["w=100", "x", "utm_source=mail"])
def test_nothing_unsigned_is_taken(query: str) -> None:
    """An operation would be anybody's choice."""
    with pytest.raises(ParameterUnknown):
        check(f"{mint('/a.jpg')}&{query}", REALM, keyring=KEYRING)
    with pytest.raises(ParameterInvalid):
        mint(f"/a.jpg?{query}")


@pytest.mark.parametrize(
    "change", [str.upper, lambda mac: mac + "0", lambda mac: mac[:-2], lambda mac: "", lambda mac: "é"]
)
def test_a_token_has_one_spelling(change) -> None:  # type: ignore[no-untyped-def]
    """40 hexadecimal digits in lower case."""
    head, _, mac = mint("/a.jpg").partition("_")
    with pytest.raises((SignatureInvalid, ParameterInvalid)):
        check(f"{head}_{change(mac)}".replace("é", "%C3%A9"), REALM, keyring=KEYRING)


def test_an_unsigned_url_is_missing_its_token() -> None:
    """The status is the vendor's."""
    with pytest.raises(SignatureMissing):
        check("/a.jpg", REALM, keyring=KEYRING)
    assert FastlyToken().denials["expired"].status == 410


def test_keys_of_other_algorithms_hold_nothing() -> None:
    """The key decides, not the URL."""
    other = Key(id="service", dialect="fastly_token", algorithm="hmac-sha256", material=KEY.material)
    with pytest.raises(SignatureInvalid):
        check(mint("/a.jpg"), REALM, keyring=Keyring([other]))


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(mint("/img/17/a1.jpg"), REALM, KEYRING, data, client=CLIENT)
