"""What authentic claims may name."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from countermark.core.errors import CountermarkError, OriginalMissing, SiteUnknown, SourceRefused, TargetMalformed
from countermark.core.grant import Claims
from countermark.delivery.authorize import authorize
from countermark.delivery.sites import Site, SiteTable
from countermark.imaging.plan import PlanRules
from countermark.signing.dialect import Realm

REALM = Realm(site="shop", audience="shop", dialects=("native",), sources=("https://origin.example.com/img/",))


def site(**changes: Any) -> Site:
    facts = {"name": "shop", "host": "*", "prefix": "/shop/", "realm": REALM, "origin": "photos", "rules": PlanRules()}
    return Site(**{**facts, "max_age": 60, "shared": True, **changes})


def claims(**facts: Any) -> Claims:
    given = {"path": "/shop/a%20b.jpg", **facts}
    return Claims(dialect="native", syntax="native", key_id="k", id=b"", pairs=(), **given)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("", "a b.jpg"),
        ("x/y.jpg", "x/y.jpg"),
        ("/x%252F.jpg", "x%2F.jpg"),
        ("https://origin.example.com/img/x%20y.jpg", "x y.jpg"),
    ],
)
def test_a_source_is_the_key_or_lies_below_a_prefix_of_the_site(source: str, key: str) -> None:
    """Decoded once."""
    assert authorize(site(), claims(source=source)).object_key == key


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("https://origin.example.com.attacker.example/img/x.jpg", SourceRefused),
        ("https://origin.example.com/other/x.jpg", SourceRefused),
        ("http://origin.example.com/img/x.jpg", SourceRefused),
        ("//origin.example.com/img/x.jpg", SourceRefused),
        ("file:///etc/passwd", SourceRefused),
        ("x.jpg?a=1", SourceRefused),
        ("https://origin.example.com/img/../x.jpg", TargetMalformed),
        ("https://origin.example.com/img/%2e%2e/x.jpg", TargetMalformed),
        ("a%2F..%2Fx.jpg", TargetMalformed),
        ("a//x.jpg", TargetMalformed),
        ("a%5Cx.jpg", TargetMalformed),
        ("a%00.jpg", TargetMalformed),
        ("a%zz.jpg", TargetMalformed),
        ("a%ff.jpg", TargetMalformed),
        ("https://origin.example.com/img/", OriginalMissing),
    ],
)
def test_another_source_is_refused(source: str, error: type[CountermarkError]) -> None:
    """Other hosts (SSRF), climbs out of the prefix, in plain and in escapes."""
    with pytest.raises(error):
        authorize(site(), claims(source=source))


def test_a_path_outside_of_the_prefix_is_no_object() -> None:
    """A dialect that cuts the path must name a source."""
    with pytest.raises(SiteUnknown):
        authorize(site(), claims(path="/other/a.jpg"))


@pytest.mark.parametrize(
    "facts",
    [
        {"address": ip_network("192.0.2.1")},
        {"countries": frozenset({"CH"})},
        {"blocked_countries": frozenset({"CH"})},
        {"from_headers": True},
        {"once": "x"},
    ],
)
def test_a_personal_grant_is_not_shareable(facts: dict[str, Any]) -> None:
    """Caches that answer others must not keep it."""
    assert authorize(site(), claims()).shareable
    assert not authorize(site(), claims(**facts)).shareable


def test_a_waiver_is_found_before_parsing_and_only_for_its_site() -> None:
    """The raw path decides, the rules of other sites stay."""
    waiving = site(name="proxy", prefix="/proxy/", waivers=frozenset({"empty-segment"}))
    table = SiteTable([site(), waiving])
    assert table.match("h", "/proxy//a").waivers
    assert not table.match("h", "/shop//a").waivers
    assert table.find("h", "/%70roxy//a") is None
