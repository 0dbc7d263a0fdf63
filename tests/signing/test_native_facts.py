"""What a native URL binds beyond path and query: it comes out as it went in, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import CountermarkError, ParameterInvalid, SignatureInvalid, TargetMalformed
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.signing.native import mint_native
from countermark.signing.verify import admit, prove
from tests.signing.scene import HMAC, KEYRING, LATER, NOW, edge, realm

TEXTS = {"sid": "session", "cid": "client_id", "uid": "user", "ctx": "context", "jti": "jti", "once": "once"}
"""What `Claims` calls the facts that are texts."""

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NAME = st.text(BASE64URL, min_size=16, max_size=64)
SHOWN = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], min_codepoint=0x20), min_size=1, max_size=128)
GOOD: Mapping[str, st.SearchStrategy[str]] = {
    "sid": NAME,
    "cid": st.text(f"{BASE64URL}.", min_size=1, max_size=64),
    "uid": SHOWN.filter(lambda text: "\x7f" not in text),
    "ctx": SHOWN.filter(lambda text: "\x7f" not in text),
    "jti": st.text(BASE64URL, min_size=8, max_size=64),
    "once": NAME,
}
CODE = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)
LISTS = st.lists(CODE, min_size=1, max_size=250)
ANYTHING = st.one_of(
    st.text(max_size=140), st.text(f"{BASE64URL}.~", max_size=70), CODE, st.from_regex(r"[A-Z.]{0,12}")
)


def minted(**facts: str) -> str:
    """A URL with these facts, whatever they say: minting does not read them, verifying does."""
    return mint_native(parse_target("/shop/cat.jpg?w=8"), audience="shop", key=HMAC, expires=LATER, facts=facts)


def claims_of(target: str, *, country: str = "") -> Claims:
    """What the gateway makes of it."""
    request = edge(target)
    return admit(prove(request, realm(), KEYRING), request.client, NOW, country=country)


@pytest.mark.parametrize("name", TEXTS)
@given(data=st.data())
def test_any_text_is_refused_or_comes_back_unchanged(name: str, data: st.DataObject) -> None:
    """Nothing is trimmed, folded or cut; what is refused is refused by the tree of errors."""
    text = data.draw(st.one_of(ANYTHING, GOOD[name]))
    try:
        target = minted(**{name: text})
    except UnicodeEncodeError:  # half of a letter, which no URL can say
        return
    try:
        claims = claims_of(target)
    except (ParameterInvalid, TargetMalformed):
        return
    assert getattr(claims, TEXTS[name]) == text
    assert [getattr(claims, other) for other in TEXTS.values()].count("") == len(TEXTS) - 1


@pytest.mark.parametrize("name", TEXTS)
@given(data=st.data())
def test_every_good_text_is_taken(name: str, data: st.DataObject) -> None:
    """As long as its pattern says, in characters and not in bytes."""
    text = data.draw(GOOD[name])
    assert getattr(claims_of(minted(**{name: text})), TEXTS[name]) == text


@given(text=st.one_of(ANYTHING, st.integers(0, 10**11).map(str), st.integers(NOW - 100, NOW + 4000).map(str)))
def test_any_time_of_signing_is_refused_or_comes_back(text: str) -> None:
    """Ten digits as everybody writes them: no sign, no other script, nothing from the future."""
    try:
        claims = claims_of(minted(iat=text))
    except (CountermarkError, UnicodeEncodeError):
        return
    assert str(claims.issued) == text
    assert claims.issued is not None
    assert claims.issued <= NOW + 60


@given(text=ANYTHING)
def test_any_list_of_countries_is_refused_or_means_what_it_says(text: str) -> None:
    """The very spelling that the set would be written in."""
    try:
        claims = claims_of(minted(geo=text), country=text[:2])
    except (CountermarkError, UnicodeEncodeError):
        return
    assert ".".join(sorted(claims.countries)) == text


@given(codes=LISTS, data=st.data())
def test_a_list_of_countries_has_one_spelling(codes: list[str], data: st.DataObject) -> None:
    """In any other order, or with one of them twice, it is refused: one list has one URL."""
    spelled = ".".join(sorted(set(codes)))
    assert claims_of(minted(geo=spelled), country=codes[0]).countries == set(codes)
    other = data.draw(st.permutations([*codes, codes[0]]))
    for text in (".".join(other), spelled.lower(), f"{spelled}.", f".{spelled}", spelled.replace(".", ",") + ","):
        with pytest.raises(ParameterInvalid):
            claims_of(minted(geo=text), country=codes[0])


@given(codes=LISTS, country=st.one_of(CODE, st.just(""), st.text(max_size=3)))
def test_a_list_of_countries_opens_in_those_alone(codes: list[str], country: str) -> None:
    """A country that nobody knows is none of them."""
    target = minted(geo=".".join(sorted(set(codes))))
    if country in codes:
        assert claims_of(target, country=country).countries == set(codes)
        return
    with pytest.raises(CountermarkError) as refused:
        claims_of(target, country=country)
    assert refused.value.reason == "country_mismatch"


FACTS = {
    "iat": str(NOW),
    "geo": "CH.DE",
    "sid": "0123456789abcdef",
    "cid": "app-1",
    "uid": "zoë",
    "ctx": "mail",
    "jti": "order-17",
    "once": "fedcba9876543210",
}
OTHER = {
    "iat": st.integers(NOW - 1000, NOW).map(str),
    "geo": LISTS.map(lambda codes: ".".join(sorted({*codes, "CH"}))),
    **GOOD,
}


@pytest.mark.parametrize("name", FACTS)
@given(data=st.data())
def test_a_changed_fact_breaks_the_signature(name: str, data: st.DataObject) -> None:
    """Well-formed in its place, taken out, or given to another name: the signature belongs to the old one."""
    target = minted(**FACTS)
    assert claims_of(target, country="CH").user == "zoë"
    other = data.draw(OTHER[name].filter(lambda text: text != FACTS[name]))
    written = f"{name}={quote(FACTS[name], safe='')}"
    assert target.count(written) == 1
    for changed in (target.replace(written, f"{name}={quote(other, safe='')}"), target.replace(f"{written}&", "")):
        with pytest.raises(SignatureInvalid):
            claims_of(changed, country="CH")


@given(name=st.sampled_from(sorted(FACTS)), data=st.data())
def test_a_fact_cannot_be_added(name: str, data: st.DataObject) -> None:
    """To a URL that binds nothing: it would be another one's."""
    with pytest.raises(SignatureInvalid):
        claims_of(f"{minted()}&{name}={quote(data.draw(OTHER[name]), safe='')}", country="CH")


@given(
    first=st.fixed_dictionaries({}, optional=dict(OTHER)),
    second=st.fixed_dictionaries({}, optional=dict(OTHER)),
)
def test_two_grants_have_two_names(first: dict[str, str], second: dict[str, str]) -> None:
    """What is revoked by its id is that one alone: other facts, other id."""
    ids = [claims_of(minted(**facts), country="CH").id for facts in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)
