"""S3 presigned GETs: what is signed, and AWS' own client."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import (
    Expired,
    Malformed,
    NotYetValid,
    ParameterInvalid,
    SignatureInvalid,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

BASE = "https://img.example.com"
SITE = realm_with("s3_sigv4", base_url=BASE)
KEY = Key(
    id="AKIAEXAMPLE", dialect="s3_sigv4", algorithm="hmac-sha256", material=b"a secret of forty characters, as theirs."
)
KEYRING = Keyring([KEY])


def minted(target: str, **order: Any) -> str:
    made = MintOrder(now=NOW, **{"expires": LATER, **order})
    return DIALECTS["s3_sigv4"].mint(parse_target(target), SITE, KEY, made)


def test_a_minted_url_is_read_back() -> None:
    """Path, operations, and an end that is still good."""
    target = minted("/photos/a%20b.jpg?w=800&fit=cover")
    claims = check(target, SITE, keyring=KEYRING)
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/photos/a%20b.jpg", ["w=800", "fit=cover"])
    assert (claims.key_id, claims.issued, claims.expires) == ("AKIAEXAMPLE", NOW, LATER)
    check(target, SITE, keyring=KEYRING, now=LATER)
    with pytest.raises(Expired):
        check(target, SITE, keyring=KEYRING, now=LATER + 1)
    with pytest.raises(NotYetValid):
        check(target, SITE, keyring=KEYRING, now=NOW - 61)


def test_boto3s_presigned_gets_are_accepted_unchanged() -> None:
    """Keys with spaces and other scripts, and the type of a picture."""
    client = boto3.client(
        "s3",
        aws_access_key_id=KEY.id,
        aws_secret_access_key=KEY.material.decode(),
        region_name="us-east-1",
        endpoint_url=BASE,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    wanted = {"Bucket": "photos", "Key": "a/é d+(1).jpg", "ResponseContentType": "image/webp"}
    url = client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=600)
    claims = check(url.removeprefix(BASE), SITE, keyring=KEYRING, now=time.time())
    assert (claims.path, claims.pairs) == ("/photos/a/%C3%A9%20d%2B%281%29.jpg", ())


def test_a_get_is_no_head() -> None:
    """The method is signed."""
    with pytest.raises(SignatureInvalid):
        check(minted("/a.jpg"), SITE, keyring=KEYRING, method="HEAD")


def test_host_and_region_are_signed() -> None:
    """Another host's and another region's URLs are not this one's."""
    with pytest.raises(SignatureInvalid):
        check(minted("/a.jpg"), realm_with("s3_sigv4", base_url="https://other.example.com"), keyring=KEYRING)
    with pytest.raises(ParameterInvalid):
        elsewhere = realm_with("s3_sigv4", base_url=BASE, options={"s3_sigv4": {"region": "eu-west-1"}})
        check(minted("/a.jpg"), elsewhere, keyring=KEYRING)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Expires=3600", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=0"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=03600"),
        ("SignedHeaders=host", "SignedHeaders=host%3Brange"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("T221320Z", "T221320"),
        ("20231114T", "20231314T"),
        ("%2Fs3%2F", "%2Fsts%2F"),
        ("&X-Amz-Date=20231114T221320Z", ""),
        ("&X-Amz-Signature", "&X-Amz-Security-Token=x&X-Amz-Signature"),
        ("&X-Amz-Signature", "&response-content-type=text%2Fhtml&X-Amz-Signature"),
        ("&X-Amz-Signature", "&x-id=PutObject&X-Amz-Signature"),
        ("%2F", "%2f"),
        ("w=8", "w=%38"),
        ("/a.jpg", "/%61.jpg"),
    ],
)
def test_what_is_not_a_presigned_get_is_refused(old: str, new: str) -> None:
    """Before anything is computed: lives, times, scopes, other headers, sessions, pages, spellings."""
    target = minted("/a.jpg?w=8")
    assert old in target
    with pytest.raises(Malformed):
        check(target.replace(old, new), SITE, keyring=KEYRING)


def test_a_signature_has_one_spelling() -> None:
    """Lower-case hexadecimal."""
    front, mark, signature = minted("/a.jpg").rpartition("=")
    for bad in (signature.upper().replace("0", "A"), signature[:-1], ""):
        with pytest.raises(SignatureInvalid):
            check(front + mark + bad, SITE, keyring=KEYRING)


def test_a_life_beyond_seven_days_is_not_minted() -> None:
    """S3's own bound."""
    with pytest.raises(ParameterInvalid):
        minted("/a.jpg", expires=NOW + 604_801)


@given(data=st.data())
def test_a_changed_url_opens_nothing_else(data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(minted("/img/17/a%20b.jpg?w=80&h=60"), SITE, KEYRING, data)
