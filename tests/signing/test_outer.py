"""An outer dialect: both must pass, and the first end counts."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from msgspec.structs import replace

from countermark.core.errors import (
    CountermarkError,
    DialectsMixed,
    Expired,
    LifetimeExceeded,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.model import MatchSettings, SiteSettings
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.realm import realm_of
from countermark.signing.table import DIALECTS
from tests.signing.scene import IMAGE, LATER, NOW, check
from tests.signing.specimens import BASE, CARRIED

EDGE = Key(id="edge", dialect="rfc9421", algorithm="hmac-sha256", material=bytes(range(32)))
KEYRING = Keyring([IMAGE, EDGE])
URL = DIALECTS["keycdn_image"].mint(
    parse_target("/img/a.jpg?width=3"), realm_of(SiteSettings(name="shop", origin="o", accept=("keycdn_image",))),
    IMAGE, MintOrder(now=NOW, expires=LATER),
)  # fmt: skip


def realm(*accept: str, outer: str = "rfc9421", **options: dict[str, str]) -> Realm:
    site = SiteSettings(
        name="shop",
        origin="o",
        match=MatchSettings(),
        accept=accept,
        outer=outer,
        base_url=BASE,
        dialects=dict(options),
    )
    return realm_of(site)


def signed(target: str = URL) -> dict[str, str]:
    return CARRIED["rfc9421"](target, EDGE)[0]


def test_both_must_pass() -> None:
    """The inner one says what is shown, the outer one until when; neither opens alone."""
    where = realm("keycdn_image")
    claims = check(URL, where, keyring=KEYRING, headers=signed())
    assert (claims.dialect, claims.path, claims.expires) == ("keycdn_image", "/img/a.jpg", NOW + 300)
    assert claims.from_headers
    with pytest.raises(SignatureMissing) as missing:
        check(URL, where, keyring=KEYRING)
    assert missing.value.dialect == "rfc9421"
    with pytest.raises(SignatureMissing) as missing:
        check("/img/a.jpg", where, keyring=KEYRING, headers=signed("/img/a.jpg"))
    assert missing.value.dialect == "keycdn_image"


@pytest.mark.parametrize(
    ("target", "headers", "error"),
    [
        (URL.replace("width=3", "width=4"), signed(URL.replace("width=3", "width=4")), SignatureInvalid),
        (URL, signed("/img/b.jpg"), SignatureInvalid),
        (URL, {**signed(), "signature": "edge=:AAAA:"}, CountermarkError),
    ],
)
def test_one_of_both_is_not_enough(target: str, headers: dict[str, str], error: type[CountermarkError]) -> None:
    """Whichever of them is wrong."""
    with pytest.raises(error):
        check(target, realm("keycdn_image"), keyring=KEYRING, headers=headers)


def test_the_first_end_counts() -> None:
    """Of both; and the inner key's longest life holds for what the outer one lets live."""
    where = realm("keycdn_image")
    with pytest.raises(Expired):
        check(URL, where, keyring=KEYRING, headers=signed(), now=NOW + 301)
    short = Keyring([replace(IMAGE, max_life=60), EDGE])
    with pytest.raises(LifetimeExceeded):
        check(URL, where, keyring=short, headers=signed())
    dated = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(range(1, 33)))
    order = MintOrder(now=NOW, expires=NOW + 9)
    url = DIALECTS["native"].mint(parse_target("/img/a.jpg"), realm("native"), dated, order)
    claims = check(url, realm("native"), keyring=Keyring([dated, EDGE]), headers=signed(url))
    assert claims.expires == NOW + 9


def test_a_revoked_outer_key_closes_the_site() -> None:
    """At once, for every URL."""
    closed = Keyring([IMAGE, replace(EDGE, state="revoked")])
    with pytest.raises(CountermarkError) as refused:
        check(URL, realm("keycdn_image"), keyring=closed, headers=signed())
    assert (refused.value.reason, refused.value.dialect) == ("key_inactive", "rfc9421")


def test_the_site_s_dialects_are_still_not_mixed() -> None:
    """The outer one's fields belong to it; the parameter of another accepted dialect does not."""
    where = realm("native", "keycdn_image")
    order = MintOrder(now=NOW, expires=LATER)
    own = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(range(1, 33)))
    url = DIALECTS["native"].mint(parse_target("/img/a.jpg?token=x"), where, own, order)
    with pytest.raises(DialectsMixed, match="mixes"):
        check(url, where, keyring=Keyring([own, EDGE]), headers=signed(url))


def test_outer_dialects_are_those_that_leave_the_url_alone() -> None:
    """Every dialect that has all its credentials in cookies or header fields, and no other."""
    hint = get_type_hints(SiteSettings, include_extras=True)["outer"]
    assert set(get_args(get_args(hint)[0])) - {""} == CARRIED.keys()
