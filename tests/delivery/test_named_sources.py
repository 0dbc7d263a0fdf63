"""From a vendor's signed URL to the object: only what belongs to the site is ever fetched."""

from __future__ import annotations

import pytest

from countermark.core.encoding import base64url
from countermark.core.errors import CountermarkError, SourceRefused
from countermark.delivery.authorize import authorize
from countermark.delivery.sites import Site
from countermark.imaging.plan import PlanRules
from countermark.keys.keyring import Key, Keyring
from countermark.signing.primitives import mac
from tests.signing.scene import check, realm_with

KEY = Key(id="i", dialect="imgproxy", algorithm="hmac-sha256", material=bytes(range(32)), salt=b"salt")
REALM = realm_with("imgproxy", sources=("https://origin.test/img/", "s3://photos/", "local:///"))
SITE = Site(name="shop", host="*", prefix="/", realm=REALM, origin="photos", rules=PlanRules(), max_age=60, shared=True)


def object_key(path: str) -> str:
    url = f"/{base64url(mac(KEY, KEY.salt + path.encode()))}{path}"
    return authorize(SITE, check(url, REALM, keyring=Keyring([KEY]))).object_key


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/plain/https://origin.test/img/a%2520b.jpg", "a b.jpg"),
        ("/w:3/plain/s3://photos/x/y.jpg@webp", "x/y.jpg"),
        ("/plain/local:///dir/a.png", "dir/a.png"),
        (f"/{base64url(b'https://origin.test/img/caf%C3%A9.png')}.webp", "café.png"),
        ("/plain/dir/a.png", "dir/a.png"),
    ],
)
def test_a_source_of_the_site_becomes_its_key(path: str, key: str) -> None:
    """By URL, bucket, folder, base64 or as a bare key; its own escapes are undone once."""
    assert object_key(path) == key


@pytest.mark.parametrize(
    "path",
    [
        "/plain/http://169.254.169.254/latest/meta-data", "/plain/https://origin.test.attacker.test/img/a.jpg",
        "/plain/https://origin.test@attacker.test/img/a.jpg", "/plain/https://origin.test/other/a.jpg",
        "/plain/https://origin.test/img/..%2Fprivate.jpg", "/plain/https://origin.test/img/%252e%252e/private.jpg",
        "/plain/s3://other/a.jpg", "/plain/file:///etc/passwd", "/plain/%2F%2Fattacker.test/a.jpg", "/asd",
        f"/{base64url(b'http://127.0.0.1/admin')}",
    ],
)  # fmt: skip
def test_every_other_source_is_refused(path: str) -> None:
    """However well it is signed: the gateway is no open proxy (SSRF)."""
    with pytest.raises(CountermarkError) as refused:
        object_key(path)
    assert refused.value.reason in {SourceRefused.reason, "target_malformed", "parameter_invalid"}
