"""Pixel Fiddler: four signers that differ on the wire, and what lower-casing gives away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote, unquote_plus, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64, base64url
from countermark.core.errors import (
    ConfigurationInvalid,
    CountermarkError,
    Expired,
    LifetimeExceeded,
    NotYetValid,
    ParameterInvalid,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyfile import load
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.pixel_fiddler import PixelFiddler
from countermark.signing.primitives import sign
from countermark.signing.table import KEY_USES
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import NOW, SPACE, check, key_pair, realm_with

TOKEN = Key(id="token", dialect="pixel_fiddler", algorithm="bearer", material=b"t0ken-of-a-backend-that-is-long-enough")
RING = Keyring([SPACE, TOKEN])
# What the URL standard leaves as it is in a query.
QUERY = "%!$&()*+,-./:;=?@[]^_`{|}~"
CRAB = f"/demo/media/crab.jpg?ts={NOW}&w=800"


def space(**options: Value) -> Realm:
    return realm_with("pixel_fiddler", options={"pixel_fiddler": options})


def signature(text: str, key: Key = SPACE) -> str:
    return base64url(sign(key, text.lower().encode()))


def signed(target: str, method: str = "GET") -> str:
    return f"{target}&signature={signature(f'{method} {target}')}"


def opened(target: str, where: Realm | None = None, **facts: Any) -> Claims:
    return check(target, where or space(), keyring=facts.pop("keyring", RING), **facts)


def kotlin(target: str) -> str:
    """Path and query as written; the signature is appended."""
    return signed(target)


def node(target: str) -> str:
    """Signs the query as the URL standard holds it, then sends the whole of it as form data."""
    path, _, query = target.partition("?")
    text = signature(f"GET {path}?{quote(query, safe=QUERY)}")
    pairs = [tuple(unquote_plus(part) for part in raw.partition("=")[::2]) for raw in query.split("&")]
    return f"{path}?{urlencode([*pairs, ('signature', text)], quote_via=lambda text, *_: quote_plus(text, safe='*'))}"


def python(target: str) -> str:
    """Signs what is written; drops blank parameters and gathers repeated ones when it sends."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    query["signature"] = [signature(f"GET {parts.path}?{parts.query}")]
    return f"{parts.path}?{urlencode(query, doseq=True)}"


def go(target: str) -> str:
    """Signs the decoded path; sends the parameters sorted by name."""
    path, _, query = target.partition("?")
    text = signature(f"GET {unquote(path)}?{query}")
    pairs = [tuple(unquote_plus(part) for part in raw.partition("=")[::2]) for raw in query.split("&")]
    return f"{path}?{urlencode(sorted([*pairs, ('signature', text)]))}"


@pytest.mark.parametrize("signer", [kotlin, node, python, go])
def test_each_sample_signer_opens_a_plain_url(signer: Callable[[str], str]) -> None:
    """Where nothing needs an escape they agree, but for the place of the signature."""
    claims = opened(signer(CRAB))
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/demo/media/crab.jpg", ["w=800"])
    assert (claims.issued, claims.expires, claims.key_id) == (NOW, NOW + 300, "space")


@pytest.mark.parametrize(
    ("signer", "target", "compat"),
    [
        (node, f"/demo/x.jpg?ts={NOW}&crop=1,2,3,4&t=a%20b", "node-form"),
        (python, f"/demo/x.jpg?crop=1,2,3,4&ts={NOW}&t=a%20b", "node-form"),
        (go, f"/demo/a%20b.jpg?ts={NOW}&w=800", "go-decoded-path"),
    ],
)
def test_a_sample_that_sends_something_else_needs_its_switch(
    signer: Callable[[str], str], target: str, compat: str
) -> None:
    """Without it the URL as it stands was not signed."""
    with pytest.raises(SignatureInvalid):
        opened(signer(target))
    claims = opened(signer(target), space(unsafe_compat=(compat,)))
    values = {pair.name: pair.value for pair in claims.pairs}
    assert values in ({"crop": "1,2,3,4", "t": "a b"}, {"w": "800"})


def test_what_a_sample_loses_stays_lost() -> None:
    """Dropped blanks and another order were signed otherwise; no permutation is tried."""
    both = space(unsafe_compat=("node-form", "go-decoded-path"))
    for url in (python(f"/demo/x.jpg?ts={NOW}&flag=&w=800"), go(f"/demo/x.jpg?w=800&ts={NOW}")):
        with pytest.raises(SignatureInvalid):
            opened(url, both)


@pytest.mark.parametrize(
    ("good", "forged"),
    [
        ("/a%41.jpg?ts=%d&w=1", "/a%2541.jpg?ts=%d&w=1"),
        ("/a.jpg?ts=%d&w=1", "/%41.jpg?ts=%d&w=1"),
        ("/a.jpg?ts=%d&bg=a", "/a.jpg?ts=%d&bg=%41"),
        ("/a?ts=%d&w=1", "/a%3Fts=%d&w=1"),
        ("/a.jpg?ts=%d&t=a%2526", "/a.jpg?ts=%d&t=a%26"),
    ],
)
def test_the_switches_open_no_other_picture(good: str, forged: str) -> None:
    """Decoding twice, a capital behind an escape, a path that swallows its query."""
    both = space(unsafe_compat=("node-form", "go-decoded-path"))
    url = signed(good.replace("%d", str(NOW)))
    text = url.rpartition("signature=")[2]
    with pytest.raises(CountermarkError):
        opened(f"{forged.replace('%d', str(NOW))}&signature={text}", both)


def test_form_data_means_spaces_where_it_is_allowed() -> None:
    """One signature covers a+b and a%20b, so both mean the same."""
    where = space(unsafe_compat=("node-form",))
    url = signed(f"/x.jpg?ts={NOW}&t=a%20b")
    assert opened(url, where).pairs[0].value == opened(url.replace("a%20b", "a+b"), where).pairs[0].value == "a b"


def test_capitals_are_refused_or_shown_as_signed() -> None:
    """One signature covers /Crab.jpg and /crab.jpg; only by the unsafe option are they two pictures."""
    url = signed(CRAB).replace("crab", "Crab").replace("w=800", "W=800")
    with pytest.raises(ParameterInvalid):
        opened(url)
    claims = opened(url, space(case="signed"))
    assert (claims.path, claims.pairs[0].name, claims.pairs[0].raw) == ("/demo/media/crab.jpg", "w", "w=800")
    assert opened(url, space(unsafe_case_as_sent=True)).path == "/demo/media/Crab.jpg"
    assert "case-folded" in claims.confidence


def test_escapes_may_have_capitals() -> None:
    """%C3%A9 is how every library writes it, and means what %c3%a9 means."""
    assert opened(signed(f"/caf%C3%A9.jpg?ts={NOW}")).path == "/caf%c3%a9.jpg"


def test_only_ascii_is_folded() -> None:
    """The Kelvin sign is no k, whatever a signer's library makes of it."""
    where = space(unsafe_compat=("go-decoded-path",))
    text = signature(f"GET /K.jpg?ts={NOW}")
    with pytest.raises(SignatureInvalid):
        opened(f"/%E2%84%AA.jpg?ts={NOW}&signature={text}", where)


def test_the_method_is_signed() -> None:
    """A GET covers the HEAD of the same URL, a HEAD covers no GET."""
    assert opened(signed(CRAB), method="HEAD").path == opened(signed(CRAB, "HEAD"), method="HEAD").path
    with pytest.raises(SignatureInvalid):
        opened(signed(CRAB, "HEAD"))


def test_a_signature_counts_for_as_long_as_the_site_says() -> None:
    """Five minutes, unless set; the last second counts, the future does not, and a key has its own bound."""
    url = signed(CRAB)
    assert opened(url, now=NOW + 300)
    with pytest.raises(Expired):
        opened(url, now=NOW + 301)
    assert opened(url, space(expiry=3600), now=NOW + 3600)
    assert opened(url, now=NOW - 60)
    with pytest.raises(NotYetValid):
        opened(url, now=NOW - 61)
    with pytest.raises(LifetimeExceeded):
        opened(url, space(expiry=60 * 86_400))


def test_an_expiry_has_bounds() -> None:
    """Up to 60 days, as the vendor has it."""
    expiry = next(option for option in PixelFiddler.options if option.name == "expiry")
    assert expiry.read("5184000") == 60 * 86_400
    for written in ("0", "5184001"):
        with pytest.raises(ValueError, match="from 1 to 5184000"):
            expiry.read(written)


@pytest.mark.parametrize("ts", ["", "170000000", "01700000000", "1700000000000", "+1700000000"])
def test_a_time_has_ten_digits(ts: str) -> None:
    """Missing, in milliseconds, or oddly written."""
    with pytest.raises(ParameterInvalid):
        opened(signed(f"/a.jpg?ts={ts}"))


def test_the_same_signature_has_one_grant_whatever_its_text() -> None:
    """(r, s) and (r, n-s) both hold, so the text of a signature identifies nothing."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(sign(SPACE, f"GET {CRAB}".lower().encode()))
    raw = space(webcrypto=True)
    texts = [base64url(r.to_bytes(32) + (value % order).to_bytes(32)) for value in (s, -s)]
    claims = [opened(f"{CRAB}&signature={text}", raw) for text in texts]
    assert claims[0].id == claims[1].id == opened(signed(CRAB)).id
    with pytest.raises(SignatureInvalid):
        opened(f"{CRAB}&signature={texts[0]}")


def test_a_bearer_token_opens_where_the_site_takes_it() -> None:
    """And its answers are for its holder alone."""
    headers = {"authorization": f"Bearer {TOKEN.material.decode()}"}
    target = "/demo/media/Crab.jpg?w=800"
    with pytest.raises(SignatureMissing):
        opened(target, headers=headers)
    either = space(level="signature-or-token")
    claims = opened(target, either, headers=headers)
    assert (claims.path, claims.from_headers, claims.expires, claims.key_id) == (target[:20], True, None, "token")
    assert opened(signed(CRAB), either, headers=headers).from_headers is False


@pytest.mark.parametrize("text", ["", "Bearer", "Bearer x", "Basic dDB", "Bearer  ", "Bearer a b", "Bearer \u00e9"])
def test_another_token_opens_nothing(text: str) -> None:
    """Nor does a public key that is sent as one."""
    with pytest.raises(SignatureInvalid):
        opened("/a.jpg", space(level="signature-or-token"), headers={"authorization": text})
    sent = {"authorization": f"Bearer {base64url(SPACE.material)}"}
    with pytest.raises(SignatureInvalid):
        opened("/a.jpg", space(level="signature-or-token"), headers=sent, keyring=Keyring([SPACE]))


def test_a_token_signs_nothing() -> None:
    """A secret that is sent with every request must not be a signing key."""
    with pytest.raises(ConfigurationInvalid):
        PixelFiddler().mint(parse_target("/a.jpg"), space(), TOKEN, MintOrder(now=NOW, expires=NOW + 60))


def test_four_public_keys_are_tried_and_no_more() -> None:
    """So that a key can be replaced while both count, and a stranger's signature costs a bounded amount."""
    keys = [key_pair(f"k{number}") for number in range(5)]
    assert opened(signed(CRAB), keyring=Keyring([*keys[:3], SPACE])).key_id == "space"
    entries = [f"- {{ id: {key.id}, dialect: pixel_fiddler, public: {base64(key.material)} }}\n" for key in keys]
    assert len(load("".join(entries[:4]), file="", uses=KEY_USES).keys) == 4
    with pytest.raises(ConfigurationInvalid, match="more than 4 key pairs"):
        load("".join(entries), file="", uses=KEY_USES)


@pytest.mark.parametrize("life", [60, 300, 86_400])
def test_a_minted_url_is_read_back(life: int) -> None:
    """It ends when it was asked to, or when the site's own life is over."""
    order = MintOrder(now=NOW, expires=NOW + life)
    url = PixelFiddler().mint(parse_target("/demo/crab.jpg?w=800"), space(), SPACE, order)
    assert opened(url).expires == NOW + min(life, 300)


# Signed once: a signature has a random part, and hypothesis wants the same text in every run.
CHANGED = signed(f"/demo/17/a%20b.jpg?ts={NOW}&crop=1,2,3,4&bg=a%20b&w=800")
DENIED: Mapping[str, int] = {"signature_missing": 401, "signature_invalid": 403, "expired": 403, "not_yet_valid": 403}


def test_it_says_no_as_the_vendor_does() -> None:
    """Status by reason."""
    assert {reason: denial.status for reason, denial in PixelFiddler.denials.items()} == DENIED


@pytest.mark.parametrize("options", [{}, {"case": "signed"}, {"unsafe_compat": ("node-form", "go-decoded-path")}])
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(options: dict[str, Value], data: st.DataObject) -> None:
    """One to three changes: refused, or the very same picture."""
    opens_nothing_else(CHANGED, space(**options), RING, data)
