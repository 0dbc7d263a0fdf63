"""Message signatures from a CDN: what must be covered, and what nobody may write into it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
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
from countermark.signing.dialect import MintOrder
from countermark.signing.native import mint_native
from countermark.signing.primitives import sign
from countermark.signing.rfc9421 import read_input, signature_base
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.pairs import pair_key
from tests.signing.scene import HMAC, LATER, NOW, check, edge, realm_with

SITE = realm_with("rfc9421")
MAC = Key(id="edge-1", dialect="rfc9421", algorithm="hmac-sha256", material=bytes(range(32)))
PAIR = pair_key("edge-2", "rfc9421", "ed25519")
KEYRING = Keyring([MAC, PAIR])
COVERED = '("@method" "@authority" "@path" "@query")'
TARGET = "/img/17/a.jpg?w=80&h=60"


def parameters(key: Key = MAC, created: int = NOW, life: int = 300, more: str = "") -> str:
    return f';created={created};expires={created + life};keyid="{key.id}"{more};tag="cdn-to-gateway"'


def signed(
    target: str = TARGET, *, key: Key = MAC, text: str = "", fields: Mapping[str, str] = {}, **asked: Any
) -> dict[str, str]:
    """The fields of a request, its signature's included."""
    text = text or COVERED + parameters(key)
    request = edge(target, headers=fields, **asked)
    base = signature_base(read_input(f"edge={text}"), request)
    signature = b64encode(sign(key, base.encode())).decode()
    return {**fields, "signature-input": f"edge={text}", "signature": f"edge=:{signature}:"}


@pytest.mark.parametrize("key", [MAC, PAIR], ids=lambda key: key.algorithm)
def test_a_signed_request_is_taken_whole(key: Key) -> None:
    """Path, operations, five minutes; by header fields, so the URL alone opens nothing."""
    claims = check(TARGET, SITE, keyring=KEYRING, headers=signed(key=key))
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/img/17/a.jpg", ["w=80", "h=60"])
    assert (claims.key_id, claims.issued, claims.expires, claims.from_headers) == (key.id, NOW, NOW + 300, True)
    with pytest.raises(SignatureMissing):
        check(TARGET, SITE, keyring=KEYRING)


def test_everything_that_is_covered_counts() -> None:
    """Method, host, path, query."""
    fields = signed()
    for target, more in (
        (TARGET, {"method": "HEAD"}),
        (TARGET, {"host": "other.example.com"}),
        ("/img/18/a.jpg?w=80&h=60", {}),
        ("/img/17/a.jpg?h=60&w=80", {}),
        ("/img/17/a.jpg", {}),
    ):
        with pytest.raises(SignatureInvalid):
            check(target, SITE, keyring=KEYRING, headers=fields, **more)  # type: ignore[arg-type]


def test_its_life_is_short() -> None:
    """Five minutes from its creation, which is not in the future."""
    with pytest.raises(Expired):
        check(TARGET, SITE, keyring=KEYRING, headers=signed(), now=NOW + 301)
    with pytest.raises(NotYetValid):
        check(TARGET, SITE, keyring=KEYRING, headers=signed(), now=NOW - 61)
    for life in (301, 0):
        with pytest.raises(ParameterInvalid):
            headers = signed(text=COVERED + parameters(life=life))
            check(TARGET, SITE, keyring=KEYRING, headers=headers)


def test_a_field_that_a_site_asks_for_must_be_covered() -> None:
    """And then its value counts."""
    where = realm_with("rfc9421", options={"rfc9421": {"fields": ("x-country",)}})
    with pytest.raises(ParameterInvalid):
        check(TARGET, where, keyring=KEYRING, headers={**signed(), "x-country": "DE"})
    text = COVERED.replace(")", ' "x-country")') + parameters()
    fields = signed(text=text, fields={"x-country": "DE"})
    assert check(TARGET, where, keyring=KEYRING, headers=fields)
    for changed in ({**fields, "x-country": "FR"}, {n: v for n, v in fields.items() if n != "x-country"}):
        with pytest.raises(SignatureInvalid):
            check(TARGET, where, keyring=KEYRING, headers=changed)
    for value in ('DE\n"x": y', "D\u00c9", "D\udcc9"):
        with pytest.raises(SignatureInvalid):
            check(TARGET, where, keyring=KEYRING, headers={**fields, "x-country": value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        COVERED,
        COVERED.replace(' "@query"', "") + parameters(),
        COVERED.replace('"@path"', '"@path" "@path"') + parameters(),
        COVERED.replace('"@path"', '"@path";req') + parameters(),
        COVERED + parameters().replace(";tag", ";limit=1;tag"),
        COVERED + parameters() + f";created={NOW}",
        COVERED + parameters().replace("cdn-to-gateway", "something-else"),
        COVERED + parameters().replace(f"created={NOW}", 'created="now"'),
        COVERED + parameters() + f", other={COVERED}{parameters()}",
        COVERED + parameters(more=';nonce="' + "x" * 3000 + '"'),
    ],
)
def test_an_input_of_another_profile_is_refused(text: str) -> None:
    """Uncovered components, repetitions, unknown parameters, other tags, several signatures."""
    headers = {"signature-input": f"edge={text}", "signature": f"edge=:{b64encode(bytes(32)).decode()}:"}
    with pytest.raises(ParameterInvalid):
        check(TARGET, SITE, keyring=KEYRING, headers=headers)


@pytest.mark.parametrize(
    "signature", ["", "edge=:AAAA", "edge=:AAAA:", "other=:AAAA:", "edge=:AAB=:", "edge=:AAAA:, b=:AAAA:"]
)
def test_a_signature_that_is_not_one_is_refused(signature: str) -> None:
    """Its label is the input's, its base64 canonical."""
    with pytest.raises(SignatureInvalid):
        check(TARGET, SITE, keyring=KEYRING, headers={**signed(), "signature": signature})


def test_the_algorithm_is_the_keys() -> None:
    """`alg` may say it again and nothing else."""
    assert check(TARGET, SITE, keyring=KEYRING, headers=signed(text=COVERED + parameters(more=';alg="hmac-sha256"')))
    with pytest.raises(SignatureInvalid):
        check(TARGET, SITE, keyring=KEYRING, headers=signed(text=COVERED + parameters(more=';alg="ed25519"')))


def test_two_kinds_of_signature_are_not_mixed() -> None:
    """A signed URL in a signed request leaves open which of them opens."""
    target = mint_native(parse_target("/a.jpg?w=1"), audience="shop", key=HMAC, expires=LATER)
    keyring = Keyring([*KEYRING.keys, HMAC])
    for order in (("native", "rfc9421"), ("rfc9421", "native")):
        with pytest.raises(DialectsMixed):
            check(target, realm_with(*order), keyring=keyring, headers=signed(target))


def test_it_is_not_minted_into_a_url() -> None:
    """It stands in header fields."""
    with pytest.raises(ParameterInvalid):
        DIALECTS["rfc9421"].mint(parse_target("/a.jpg"), SITE, MAC, MintOrder(now=NOW, expires=LATER))


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(TARGET, SITE, KEYRING, data, headers=signed())


@given(st.text('e=("@path);cratd0123', max_size=60))
def test_no_text_breaks_the_inputs_reader(text: str) -> None:
    """Whatever comes is read or refused."""
    try:
        read_input(text)
    except CountermarkError:
        return
