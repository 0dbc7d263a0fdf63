"""A URL without an end is taken where the site says so by name, and nowhere else."""

from __future__ import annotations

import pytest

from countermark.core.errors import CountermarkError, LifetimeExceeded, SignatureInvalid
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.endless import UNLIMITED
from countermark.signing.realm import waivers
from countermark.signing.table import DIALECTS
from tests.signing.scene import LATER, NOW, check, realm_with

TARGETS = {
    "keycdn_image": "/a.jpg?width=3",
    "thumbor": "/3x4/a.jpg",
    "cloudinary": "/image/upload/w_3/a.jpg",
    "nginx_secure_link_secret": "/a.jpg",
}
OPEN = {"imgix", "imagekit", "imageproxy", "imgproxy", "imagor", "cloudflare_images"}


def closed(name: str) -> Realm:
    return realm_with(name, options={name: {UNLIMITED: False}})


def minted(name: str, where: Realm) -> tuple[str, Keyring]:
    key = Key(id="old", dialect=name, algorithm=DIALECTS[name].capabilities.algorithms[0], material=b"a secret" * 4)
    target = parse_target(TARGETS[name], waive=waivers(where))
    return DIALECTS[name].mint(target, where, key, MintOrder(now=NOW, expires=LATER)), Keyring([key])


def test_each_dialect_that_may_be_endless_has_the_waiver() -> None:
    """Required where no URL of it can have an end, and no dialect is endless without."""
    required = {name for name, dialect in DIALECTS.items() if any(option.waives for option in dialect.options)}
    assert required == TARGETS.keys()
    assert required == {name for name, dialect in DIALECTS.items() if not dialect.capabilities.expiry}
    assert {name for name, dialect in DIALECTS.items() if any(o.name == UNLIMITED for o in dialect.options)} >= OPEN


@pytest.mark.parametrize("name", TARGETS)
def test_an_endless_url_opens_by_the_waiver_only(name: str) -> None:
    """Refused as what it is, and only to whoever has an authentic one."""
    url, keyring = minted(name, closed(name))
    with pytest.raises(LifetimeExceeded) as refused:
        check(url, closed(name), keyring=keyring)
    assert refused.value.dialect == name
    assert check(url, realm_with(name), keyring=keyring).expires is None
    with pytest.raises(SignatureInvalid):
        check(url, closed(name), keyring=Keyring([Key(id="x", dialect=name, algorithm="md5", material=b"other")]))


def test_without_the_waiver_an_end_is_enough() -> None:
    """imgix makes `expires` optional: with it the URL opens."""
    key = Key(id="source", dialect="imgix", algorithm="md5", material=b"a secret" * 4)
    url = DIALECTS["imgix"].mint(parse_target("/a.jpg"), closed("imgix"), key, MintOrder(now=NOW, expires=LATER))
    assert check(url, closed("imgix"), keyring=Keyring([key])).expires == LATER
    with pytest.raises(CountermarkError):
        check(url.replace(f"expires={LATER}&", ""), closed("imgix"), keyring=Keyring([key]))
