"""Akamai EdgeAuth: fields, globs, carriers, and the vendor's own library."""

from __future__ import annotations

from typing import Any

import pytest
from akamai.edgeauth import EdgeAuth
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    Expired,
    Malformed,
    NotYetValid,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.fields import read_fields
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

KEY = Key(id="main", dialect="akamai_edgeauth", algorithm="hmac-sha256", material=bytes(range(32)))
KEYRING = Keyring([KEY])


def site(**options: Any) -> Realm:
    return realm_with("akamai_edgeauth", options={"akamai_edgeauth": options})


def theirs(**more: Any) -> EdgeAuth:
    return EdgeAuth(**{"key": KEY.material.hex(), "end_time": LATER, **more})


def minted(target: str, where: Realm | None = None, **order: Any) -> str:
    made = MintOrder(now=NOW, **{"expires": LATER, **order})
    return DIALECTS["akamai_edgeauth"].mint(parse_target(target), where or site(), KEY, made)


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize(
    ("written", "asked"), [("/a/b.jpg?w=8&h=9", "/a/b.jpg?w=8&h=9"), ("/a/é d.jpg", "/a/%C3%A9%20d.jpg")]
)
def test_the_vendors_url_tokens_are_accepted_unchanged(written: str, asked: str, escaped: bool) -> None:
    """What its library signs: the URL as sent, or decoded where it escapes early."""
    token = theirs(escape_early=escaped, salt="pepper").generate_url_token(written if escaped else asked)
    mark = "&" if "?" in asked else "?"
    where = site(escape_early=escaped, salt="pepper")
    claims = check(f"{asked}{mark}__token__={token}", where, keyring=KEYRING)
    assert (claims.path, claims.expires) == (asked.partition("?")[0], LATER)
    if escaped and "?" not in asked:
        assert minted(asked, where) == f"{asked}?__token__={token}"


@pytest.mark.parametrize("carrier", ["query", "cookie", "header"])
def test_the_vendors_acl_tokens_are_accepted_from_every_carrier(carrier: str) -> None:
    """Globs, session, data, address and start, in query, cookie or header field."""
    token = theirs(ip=CLIENT, start_time=NOW, session_id="s-1", payload="x=1").generate_acl_token(["/a/*", "/b/?.jpg"])
    where = site(token="hdnts", carrier=carrier)
    headers = {"query": {}, "cookie": {"cookie": f"hdnts={token}"}, "header": {"hdnts": token}}[carrier]
    mark = f"?hdnts={token}" if carrier == "query" else ""
    for path in ("/a/x/y.jpg", "/b/c.jpg"):
        claims = check(path + mark, where, keyring=KEYRING, headers=headers)
        assert (claims.not_before, str(claims.address)) == (NOW, f"{CLIENT}/32")
        assert claims.from_headers is (carrier != "query")
    for path in ("/b/cc.jpg", "/aa/x.jpg", "/"):
        with pytest.raises(SignatureInvalid):
            check(path + mark, where, keyring=KEYRING, headers=headers)
    with pytest.raises(AddressMismatch):
        check("/a/x.jpg" + mark, where, keyring=KEYRING, headers=headers, client="198.51.100.1")
    if carrier != "query":
        with pytest.raises(SignatureMissing):
            check("/a/x.jpg", where, keyring=KEYRING)


def test_its_times_are_both_included() -> None:
    """From st to exp."""
    target = minted("/a.jpg", not_before=NOW)
    check(target, site(), keyring=KEYRING, now=NOW)
    check(target, site(), keyring=KEYRING, now=LATER)
    with pytest.raises(NotYetValid):
        check(target, site(), keyring=KEYRING, now=NOW - 1)
    with pytest.raises(Expired):
        check(target, site(), keyring=KEYRING, now=LATER + 1)


def test_operations_that_are_not_signed_are_refused() -> None:
    """Beside an ACL, and where the query is ignored; a site may say otherwise by name."""
    acl = minted("/a.jpg?w=9", extras={"acl": "/*"})
    plain = minted("/a.jpg?w=9", site(ignore_query=True))
    for target, options in ((acl, {}), (plain, {"ignore_query": True})):
        with pytest.raises(ParameterUnknown):
            check(target, site(**options), keyring=KEYRING)
        claims = check(target, site(**options, unsafe_unsigned_operations=True), keyring=KEYRING)
        assert [pair.raw for pair in claims.pairs] == ["w=9"]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "exp=1700003600",
        "hmac=00",
        "hmac=00~exp=1700003600",
        "exp=1700003600~exp=1700009999~hmac=00",
        "exp=1700003600~ip=203.0.113.7~hmac=00",
        "exp=1700003600~url=/a.jpg~hmac=00",
        "exp=01700003600~hmac=" + "0" * 64,
        "exp=1700003600~hmac=" + "A" * 64,
        "exp=1700003600~hmac=" + "0" * 62,
        "ip=203.0.113.007~exp=1700003600~hmac=" + "0" * 64,
        "exp=1700003600~data=" + "x" * 2048 + "~hmac=" + "0" * 64,
    ],
)
def test_a_token_that_is_not_one_is_refused(token: str) -> None:
    """Fields that are missing, repeated, out of order, unknown or misspelt."""
    with pytest.raises((ParameterInvalid, SignatureInvalid)):
        check(f"/a.jpg?__token__={token}", site(), keyring=KEYRING)


def test_nothing_follows_the_token() -> None:
    """What stands behind it is not signed."""
    with pytest.raises(ParameterInvalid):
        check(minted("/a.jpg") + "&w=9", site(), keyring=KEYRING)


def test_decoding_moves_no_border() -> None:
    """Signed as decoded, a path has one spelling and no question mark."""
    where = site(escape_early=True)
    good = minted("/a.jpg?w=9", where)
    check(good, where, keyring=KEYRING)
    token = good.rpartition("__token__=")[2]
    for target in ("/a.jpg%3Fw=9?", "/%61.jpg?w=9&"):
        with pytest.raises(Malformed):
            check(f"{target}__token__={token}", where, keyring=KEYRING)


def test_a_token_for_another_carrier_is_not_minted() -> None:
    """A URL cannot hold a cookie."""
    with pytest.raises(ParameterInvalid):
        minted("/a.jpg", site(carrier="cookie"))


SITES = {"plain": site(), "escaped": site(escape_early=True, salt="pepper")}


@pytest.mark.parametrize("name", SITES)
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(name: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    where = SITES[name]
    opens_nothing_else(minted("/img/17/a%20b.jpg?w=80&h=60", where, not_before=NOW), where, KEYRING, data)


@given(st.text(max_size=60))
def test_no_text_breaks_the_fields_reader(text: str) -> None:
    """Whatever comes is read or refused."""
    try:
        read_fields(text, ("a", "b"))
    except CountermarkError:
        return
