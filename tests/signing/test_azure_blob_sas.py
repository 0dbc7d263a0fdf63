"""Azure SAS: sixteen lines, and all that it could say besides."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64
from countermark.core.errors import (
    AddressMismatch,
    Expired,
    Malformed,
    NotYetValid,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import sign
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

KEY = Key(id="key1", dialect="azure_blob_sas", algorithm="hmac-sha256", material=bytes(range(64)))
KEYRING = Keyring([KEY])


def site(base_url: str = "https://img.example.com", **options: Any) -> Realm:
    return realm_with(
        "azure_blob_sas", options={"azure_blob_sas": {"account": "pictures", **options}}, base_url=base_url
    )


def minted(target: str, **order: Any) -> str:
    made = MintOrder(now=NOW, **{"expires": LATER, **order})
    return DIALECTS["azure_blob_sas"].mint(parse_target(target), site(), KEY, made)


def written(path: str = "/photos/a.jpg", resource: str = "/blob/pictures/photos/a.jpg", **more: str) -> str:
    """A SAS of the documented sixteen lines."""
    values = {"sv": "2021-08-06", "sr": "b", "sp": "r", "se": "2023-11-14T23:13:20Z", **more}
    names = [
        "sp",
        "st",
        "se",
        "*",
        "si",
        "sip",
        "spr",
        "sv",
        "sr",
        "snapshot",
        "ses",
        "rscc",
        "rscd",
        "rsce",
        "rscl",
        "rsct",
    ]
    lines = [resource if name == "*" else values.get(name, "") for name in names]
    values["sig"] = base64(sign(KEY, "\n".join(lines).encode()))
    return f"{path}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())


def test_a_minted_url_is_read_back() -> None:
    """From its start until before its end, for one address."""
    target = minted("/photos/%C3%A9%20d.jpg", not_before=NOW, address=ip_address(CLIENT))
    claims = check(target, site(), keyring=KEYRING)
    assert (claims.path, claims.not_before, claims.expires) == ("/photos/%C3%A9%20d.jpg", NOW, LATER)
    with pytest.raises(NotYetValid):
        check(target, site(), keyring=KEYRING, now=NOW - 1)
    with pytest.raises(Expired):
        check(target, site(), keyring=KEYRING, now=LATER)
    with pytest.raises(AddressMismatch):
        check(target, site(), keyring=KEYRING, client="198.51.100.1")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"sp": "racwd"},
        {"se": "2023-11-15"},
        {"se": "2023-11-14T23:13Z"},
        {"st": "2023-11-14T22:13:20Z"},
        {"spr": "https"},
        {"rsct": "image/webp"},
    ],
)
def test_the_documented_layout_is_read(more: dict[str, str]) -> None:
    """With each field that a picture's SAS may have."""
    assert check(written(**more), site(), keyring=KEYRING).path == "/photos/a.jpg"


def test_any_address_of_a_range_is_in_it() -> None:
    """First and last included; a proof that depends on the client is not kept for the next."""
    target = written(sip="203.0.113.5-203.0.113.9")
    for client in ("203.0.113.5", "203.0.113.7", "203.0.113.9"):
        assert check(target, site(), keyring=KEYRING, client=client).from_headers
    for client in ("203.0.113.4", "203.0.113.10", "2001:db8::1"):
        with pytest.raises(AddressMismatch):
            check(target, site(), keyring=KEYRING, client=client)


@pytest.mark.parametrize(
    "more",
    [
        {"sv": "2019-12-12"},
        {"sv": "2027-01-01"},
        {"sv": "newest"},
        {"sr": "c"},
        {"sp": "w"},
        {"sp": ""},
        {"si": "policy"},
        {"snapshot": "2023-11-14T00:00:00Z"},
        {"skoid": "x"},
        {"rscd": "attachment"},
        {"rsct": "text/html"},
        {"spr": "http"},
        {"se": "2023-11-14T23:13:20+00:00"},
        {"se": "2023-13-14"},
        {"sip": "203.0.113.9-203.0.113.5"},
        {"sip": "2001:db8::1"},
    ],
)
def test_what_cannot_be_checked_is_refused(more: dict[str, str]) -> None:
    """Other layouts, containers, writing, stored policies, delegated keys, pages."""
    with pytest.raises(ParameterInvalid):
        check(written(**more), site(), keyring=KEYRING)


def test_https_is_held_as_far_as_it_is_known() -> None:
    """A SAS for https opens nothing on a site that is not known to use it."""
    for base_url in ("", "http://img.example.com"):
        with pytest.raises(SignatureInvalid):
            check(written(spr="https"), site(base_url), keyring=KEYRING)


def test_account_and_path_are_signed() -> None:
    """And without an account nothing opens."""
    for account in ("others", ""):
        with pytest.raises(SignatureInvalid):
            check(written(), site(account=account), keyring=KEYRING)
    with pytest.raises(SignatureInvalid):
        check(written("/photos/b.jpg"), site(), keyring=KEYRING)


def test_operations_are_not_signed_and_so_refused() -> None:
    """A site may say otherwise by name."""
    with pytest.raises(ParameterUnknown):
        check(minted("/a.jpg?w=9"), site(), keyring=KEYRING)
    claims = check(minted("/a.jpg?w=9"), site(unsafe_unsigned_operations=True), keyring=KEYRING)
    assert [pair.raw for pair in claims.pairs] == ["w=9"]


@pytest.mark.parametrize(("old", "new"), [("/a.jpg", "/%61.jpg"), ("sr=b", "sr=%62"), ("%3A", "%3a"), ("sv=", "s%76=")])
def test_a_sas_has_few_spellings(old: str, new: str) -> None:
    """What is signed decoded is escaped no more than it must be."""
    with pytest.raises(Malformed):
        check(written().replace(old, new), site(), keyring=KEYRING)


def test_a_network_is_not_minted() -> None:
    """The vendor knows addresses of IPv4 and ranges of them."""
    with pytest.raises(ParameterInvalid):
        minted("/a.jpg", address=ip_address("2001:db8::1"))


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    target = minted("/img/17/a%20b.jpg", not_before=NOW, address=ip_address(CLIENT))
    opens_nothing_else(target, site(), KEYRING, data)
