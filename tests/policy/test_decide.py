"""What a template says to claims, operations and moments."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from countermark.core.errors import (
    ClientIpNotAllowed,
    CountryNotAllowed,
    ElementMissing,
    LifetimeExceeded,
    TransformRefused,
)
from countermark.imaging.operations import Operations, Region
from countermark.policy.decide import SIGNED, Moment, admit, disclosed, inspect, limits
from countermark.policy.model import Element

from .drafts import claims, template

HOME = ip_address("203.0.113.7")
FACTS: dict[Element, dict[str, object]] = {
    "user": {"user": "u"},
    "client": {"client_id": "c"},
    "session": {"session": "s"},
    "jti": {"jti": "j"},
    "context": {"context": "x"},
    "preset": {"preset": "card"},
    "transform_hash": {"transform_hash": "h"},
    "geo": {"countries": frozenset({"DE"})},
    "address": {"address": ip_network("203.0.113.0/24")},
    "once": {"once": "o"},
    "not_before": {"not_before": 0},
    "issued": {"issued": 1_000},
}


def moment(address: str = "203.0.113.7", **facts: object) -> Moment:
    """A moment at 1000 seconds."""
    return Moment(**{"now": 1_000.0, "address": ip_address(address), **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("element", SIGNED)
def test_a_required_fact_must_be_signed(element: Element) -> None:
    """With it the URL passes, without it it does not, and the refusal names it."""
    asking = template(require=[element])
    inspect(asking, claims(**FACTS[element]), None, "")
    with pytest.raises(ElementMissing, match=element):
        inspect(asking, claims(), None, "")


def test_a_single_use_id_is_a_jti_too() -> None:
    """It can be taken back by it."""
    inspect(template(require=["jti"]), claims(once="o"), None, "")


@pytest.mark.parametrize(
    ("keys", "element"),
    [
        ({"uses": "once"}, "once"),
        ({"expires": {"session_end": True}}, "session"),
        ({"network": {"bind": "exact"}}, "address"),
        ({"contexts": ["spring"]}, "context"),
        ({"transforms": {"presets": ["card"]}}, "preset"),
    ],
)
def test_other_keys_imply_facts(keys: dict[str, object], element: str) -> None:
    """A single-use policy takes no URL that opens many times."""
    with pytest.raises(ElementMissing, match=element):
        inspect(template(**keys), claims(), None, "")


def test_weak_formats_are_refused_by_name() -> None:
    """Those that are named, and no others."""
    strict = template(refuse_weak=["md5"])
    inspect(strict, claims(confidence=frozenset({"sha1"})), None, "")
    with pytest.raises(ElementMissing, match="md5"):
        inspect(strict, claims(confidence=frozenset({"sha1", "md5"})), None, "")


def test_a_binding_to_everybody_is_none() -> None:
    """0.0.0.0/0 holds every address, and is refused; so is a network wider than asked."""
    for network, bind in (("0.0.0.0/0", "prefix"), ("203.0.113.0/23", "prefix"), ("203.0.113.0/31", "exact")):
        with pytest.raises(ElementMissing, match="bound to a network"):
            inspect(template(network={"bind": bind}), claims(address=ip_network(network, strict=False)), None, "")
    inspect(template(network={"bind": "prefix"}), claims(address=ip_network("2001:db8::/64")), None, "")


def test_a_life_is_measured_from_its_issue_where_that_is_signed() -> None:
    """To the second, and whatever is left of it."""
    brief = template(expires={"ttl": "1m"})
    inspect(brief, claims(issued=1_000, expires=1_060), None, "")
    with pytest.raises(LifetimeExceeded):
        inspect(brief, claims(issued=1_000, expires=1_061), None, "")
    with pytest.raises(LifetimeExceeded, match="has none"):
        inspect(brief, claims(expires=None), None, "")


def test_what_is_left_of_a_life_must_fit_where_the_issue_is_not_signed() -> None:
    """A URL of an hour opens in its last minute only."""
    brief = template(expires={"ttl": "1m"})
    admit(brief, claims(expires=1_060), moment())
    with pytest.raises(LifetimeExceeded):
        admit(brief, claims(expires=1_061), moment())


@pytest.mark.parametrize(
    ("rules", "operations"),
    [
        ({"max_width": 100}, Operations(width=101)),
        ({"max_width": 100}, Operations(width=60, dpr=2)),
        ({"max_width": 100}, Operations(height=60)),
        ({"max_width": 100}, None),
        ({"max_height": 100}, Operations(height=101)),
        ({"max_dpr": 2}, Operations(width=1, dpr=2.5)),
        ({"max_quality": 80}, Operations(quality=81)),
        ({"min_quality": 20}, Operations(quality=19)),
        ({"formats": ["webp"]}, Operations(format="avif")),
        ({"formats": ["webp"]}, None),
        ({"forbid": ["original"]}, None),
        ({"forbid": ["crop"]}, Operations(region=Region(0, 0, 1, 1))),
        ({"forbid": ["enlarge"]}, Operations(width=1, fit="contain")),
        ({"forbid": ["animated"]}, Operations(animated=False)),
    ],
)
def test_operations_stay_within_their_bounds(rules: dict[str, object], operations: Operations | None) -> None:
    """A side that is not said could be any, and is refused where it is bounded."""
    with pytest.raises(TransformRefused):
        inspect(template(transforms=rules), claims(), operations, "")
    inspect(template(), claims(), operations, "")


def test_only_named_presets_pass() -> None:
    """None at all is none of them."""
    named = template(transforms={"presets": ["card"]})
    inspect(named, claims(preset="card"), None, "card")
    with pytest.raises(TransformRefused):
        inspect(named, claims(preset="hero"), None, "hero")


@pytest.mark.parametrize(
    ("geo", "country", "region", "opens"),
    [
        ({"allow": ["NO"]}, "NO", "", True),
        ({"allow": ["NO"]}, "SE", "", False),
        ({"allow": ["NO"]}, "", "", False),
        ({"allow": ["NO"], "unknown": "allow"}, "", "", True),
        ({"deny": ["KP"]}, "DE", "", True),
        ({"deny": ["KP"]}, "KP", "", False),
        ({"deny": ["KP"]}, "", "", False),
        ({"allow": ["US"], "deny": ["US-CA"]}, "US", "NY", True),
        ({"allow": ["US"], "deny": ["US-CA"]}, "US", "CA", False),
        ({"allow": ["US"], "deny": ["US-CA"]}, "US", "", False),
        ({"allow": ["US"], "deny": ["US-CA"], "unknown": "allow"}, "US", "", True),
        ({"allow": ["US-CA"]}, "US", "CA", True),
        ({"allow": ["US-CA"]}, "US", "NY", False),
        ({"allow": ["US-CA"]}, "US", "", False),
        ({"allow": ["DE"], "deny": ["DE"]}, "DE", "", False),
        ({}, "", "", True),
    ],
)
def test_countries(geo: dict[str, object], country: str, region: str, opens: bool) -> None:
    """Deny wins, and a place that is not known is outside unless the template says otherwise."""
    where = moment(country=country, region=region)
    if opens:
        admit(template(geo=geo), claims(), where)
        return
    with pytest.raises(CountryNotAllowed):
        admit(template(geo=geo), claims(), where)


def test_a_closed_region_is_closed() -> None:
    """It tightens what the template allows."""
    closed = template(geo={"allow": ["DE", "FR"]}, regions={"fr": {"countries": ["FR"], "note": "n", "closed": True}})
    admit(closed, claims(), moment(country="DE"))
    with pytest.raises(CountryNotAllowed):
        admit(closed, claims(), moment(country="FR"))


def test_networks() -> None:
    """Of the template and of the files beside it; deny wins, and an empty list of a file lets in nobody."""
    rules = {"allow": ["10.0.0.0/8", "offices.txt"], "deny": ["10.9.0.0/16"]}
    asking = template({"offices.txt": "2001:db8::/32\n"}, network=rules)
    for address in ("10.1.2.3", "2001:db8::1"):
        admit(asking, claims(), moment(address))
    for address in ("10.9.0.1", "203.0.113.7", "2001:db9::"):
        with pytest.raises(ClientIpNotAllowed):
            admit(asking, claims(), moment(address))
    with pytest.raises(ClientIpNotAllowed):
        admit(template({"offices.txt": "# none yet\n"}, network={"allow": ["offices.txt"]}), claims(), moment())


def test_ceilings_become_limits() -> None:
    """One for each name; all that are nameless share one, so that leaving a name out is no way around it."""
    rates = {"client": {"requests": 60, "per": "1m"}, "template": {"requests": 10, "per": "1s", "burst": 3}}
    capped = template(ceiling=rates)
    client, whole = limits(capped, claims(client_id="acme"), "203.0.113.7")
    assert (client.name, client.key, client.interval, client.burst) == ("client", "draft/client:acme", 1.0, 60)
    assert (whole.name, whole.key, whole.interval, whole.burst) == ("template", "draft/template:", 0.1, 3)
    assert limits(capped, claims(user="a"), "192.0.2.1")[0].key == limits(capped, claims(user="b"), "192.0.2.2")[0].key


def test_auditors_are_told_what_the_template_says() -> None:
    """In the order of the template, without empty ones."""
    told = template(version=3, respond={"headers": ["client", "template", "expires"]})
    assert disclosed(told, claims()) == (("Countermark-Template", "draft@3"), ("Countermark-Expires", "1060"))
