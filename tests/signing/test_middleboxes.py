"""What happened to a signed URL on its way is named in every dialect, wherever its signature stands."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from countermark.core.encoding import base64, base64url
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder
from countermark.signing.explain import Explanation, explain
from countermark.signing.findings import NOWHERE
from countermark.signing.primitives import sign
from countermark.signing.realm import waivers
from countermark.signing.rfc9421 import read_input, signature_base
from countermark.signing.table import DIALECTS
from tests.signing.pairs import pair_key
from tests.signing.samples import BASE_URL, HOST, MIDDLEBOXES, SAMPLES, changed, sample_key, sample_realm
from tests.signing.scene import NOW, edge, realm_with

LIFE = 300


@cache
def signed(dialect: str) -> str:
    """The sample of a dialect, signed at NOW for five minutes."""
    sample, where = SAMPLES[dialect], sample_realm(dialect)
    address = ip_address(sample.address) if sample.address else None
    order = MintOrder(now=NOW, expires=NOW + LIFE, address=address, extras=sample.extras, nonce="n" * 22)
    target = parse_target(sample.target, waive=waivers(where))
    return DIALECTS[dialect].mint(target, where, sample_key(dialect), order)


def told(dialect: str, url: str, *, now: float = NOW, key: Key | None = None) -> Explanation:
    """The explanation at the site of this dialect, for the client that the sample is bound to."""
    address = SAMPLES[dialect].address
    return explain(
        url,
        realm=sample_realm(dialect),
        keyring=Keyring([key or sample_key(dialect)]),
        now=now,
        client=ip_address(address) if address else NOWHERE,
        host=HOST,
    )


def test_every_dialect_that_can_be_minted_has_a_sample() -> None:
    """So that the next one is swept too."""
    assert SAMPLES.keys() == {name for name, dialect in DIALECTS.items() if not dialect.capabilities.unminted}


@pytest.mark.parametrize("dialect", SAMPLES)
def test_a_good_url_needs_no_finding(dialect: str) -> None:
    """It is good, and its signed parts are shown without its signature."""
    found = told(dialect, signed(dialect))
    assert (found.good, found.step, found.findings) == (True, "", ())
    assert found.dialect == dialect
    assert found.parts


@pytest.mark.parametrize("dialect", SAMPLES)
def test_what_a_middlebox_did_is_named(dialect: str) -> None:
    """Each change that applies is accepted as the same URL, or told by its name and proven."""
    applied = [*changed(signed(dialect))]
    assert len(applied) >= 4
    for happened, change, arrived in applied:
        found = told(dialect, arrived)
        proven = {finding.change for finding in found.findings if finding.proven}
        assert found.good or change in proven, (happened, arrived, found)


@pytest.mark.parametrize("happened", MIDDLEBOXES)
def test_every_middlebox_is_met_by_a_path_signature(happened: str) -> None:
    """Or by a signed query, where it changes nothing else."""
    assert any(happened in {name for name, _, _ in changed(signed(dialect))} for dialect in SAMPLES)


@pytest.mark.parametrize("dialect", [name for name in SAMPLES if DIALECTS[name].capabilities.expiry])
def test_an_expired_url_is_told_by_how_much(dialect: str) -> None:
    """In seconds, with the word that nothing else is wrong."""
    expires_in = told(dialect, signed(dialect)).expires_in
    assert expires_in is not None
    found = told(dialect, signed(dialect), now=NOW + expires_in + 90)
    assert (found.step, [finding.change for finding in found.findings]) == ("time", ["clock"])
    assert found.findings[0].detail == "expired 90 seconds ago by this clock; the signature itself holds"


@pytest.mark.parametrize("dialect", [name for name in SAMPLES if not sample_key(name).private])
def test_another_secret_is_told(dialect: str) -> None:
    """The key is named, and no change is said to have happened."""
    mine = sample_key(dialect)
    found = told(dialect, signed(dialect), key=replace(mine, material=b"another secret of thirty-two byt"))
    assert (found.step, [finding.change for finding in found.findings]) == ("signature", ["key"])
    assert "another secret than that of k1" in found.findings[0].detail


@pytest.mark.parametrize(
    ("dialect", "now", "then", "change"),
    [
        ("thumbor", "=/", "/", "signature-text"),
        ("thumbor", "=/", "%3D/", "escaping"),
        ("imageproxy", "=/", "/", "signature-text"),
        ("imageproxy", "=/", "%3D/", "escaping"),
        ("cloudflare_timed_hmac", "%3D", "=", "signature-text"),
        ("gcp_cdn", "=", "%3D", "signature-text"),
    ],
)
def test_padding_is_put_right(dialect: str, now: str, then: str, change: str) -> None:
    """Stripped or percent-encoded, in the path and in the query."""
    url = signed(dialect)
    # The signature stands first in a path and last in a query.
    head, mark, tail = url.partition(now) if "/" in now else url.rpartition(now)
    assert mark
    found = told(dialect, f"{head}{then}{tail}")
    assert not found.good
    assert change in {finding.change for finding in found.findings if finding.proven}


def test_a_signature_in_the_other_base64_is_found_though_its_slashes_part_the_path() -> None:
    """`+` and `/` for `-` and `_`, with padding, in a segment of imgproxy's."""
    where, key = sample_realm("imgproxy"), sample_key("imgproxy")
    urls = [
        DIALECTS["imgproxy"].mint(
            parse_target(f"/w:{width}/plain/a.jpg"), where, key, MintOrder(now=NOW, expires=NOW + LIFE)
        )
        for width in range(1, 60)
    ]
    url = next(url for url in urls if "_" in url[2:42] and "-" in url[2:42] and url[1:44].count("_") < 4)
    signature, _, rest = url[1:].partition("/")
    found = told("imgproxy", f"/{signature.replace('-', '+').replace('_', '/')}=/{rest}")
    (finding,) = (finding for finding in found.findings if finding.change == "signature-text")
    assert finding.proven
    assert signature not in finding.detail


@pytest.mark.parametrize("dialect", SAMPLES)
def test_no_explanation_holds_the_signature_that_was_expected(dialect: str) -> None:
    """Whatever happened to the URL, and wherever its signature stands."""
    url = signed(dialect)
    presented = DIALECTS[dialect].read(
        edge(url, waive=waivers(sample_realm(dialect)), client=SAMPLES[dialect].address or "192.0.2.0"),
        sample_realm(dialect),
    )
    assert presented is not None
    texts = {presented.signature.hex(), base64url(presented.signature), presented.signature.decode("latin-1")}
    for _, _, arrived in changed(url):
        for finding in told(dialect, arrived).findings:
            assert not any(text in finding.detail for text in texts)


def test_a_cookie_that_was_quoted_or_escaped_is_named() -> None:
    """Programs write cookies in their own ways."""
    akamai = sample_key("akamai_edgeauth")
    token = signed("akamai_edgeauth").partition("__token__=")[2]
    where = realm_with("akamai_edgeauth", options={"akamai_edgeauth": {"carrier": "cookie"}})
    path = SAMPLES["akamai_edgeauth"].target
    for cookie in (f'__token__="{token}"', f"__token__={token.replace('=', '%3D').replace('~', '%7E')}"):
        found = explain(path, realm=where, keyring=Keyring([akamai]), now=NOW, headers={"cookie": cookie})
        assert not found.good
        assert [finding.change for finding in found.findings if finding.proven] == ["field-text"]


def test_a_host_that_a_proxy_changed_is_named() -> None:
    """A message signature covers the host; the settings know what it was."""
    key = pair_key("cdn", "rfc9421", "ed25519")
    where = realm_with("rfc9421", base_url=BASE_URL)
    components = '("@method" "@authority" "@path" "@query")'
    text = f'{components};created={NOW};expires={NOW + 60};keyid="cdn";tag="cdn-to-gateway"'
    base = signature_base(read_input(f"sig={text}"), edge("/a.jpg?w=8", host=HOST))
    headers = {"signature-input": f"sig={text}", "signature": f"sig=:{base64(sign(key, base.encode()))}:"}
    keyring = Keyring([key])
    assert explain("/a.jpg?w=8", realm=where, keyring=keyring, now=NOW, host=HOST, headers=headers).good
    found = explain("/a.jpg?w=8", realm=where, keyring=keyring, now=NOW, host="10.0.0.1", headers=headers)
    assert (found.step, [finding.change for finding in found.findings]) == ("signature", ["host"])
