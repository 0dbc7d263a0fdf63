"""What a template says of the record of a request."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from countermark.core.audit import UNRULED
from countermark.core.grant import Claims
from countermark.core.place import Place
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.policy.audit import audited, audited_holder
from countermark.signing.dialect import MintOrder
from countermark.signing.realm import waivers
from countermark.signing.table import DIALECTS
from countermark.signing.verify import prove
from tests.policy.drafts import claims, template
from tests.signing.samples import SAMPLES, sample_key, sample_realm
from tests.signing.scene import CLIENT, NOW, edge

NAMES = {"user": "anna", "client_id": "acme", "session": "s" * 16, "jti": "t1", "context": "spring", "preset": "card"}
SHARED = [name for name in SAMPLES if not sample_key(name).private]


def authentic(dialect: str, key: Key) -> tuple[Claims, str]:
    """What the sample of a dialect claims, signed with this key, and the path at which it is asked for."""
    sample, where = SAMPLES[dialect], sample_realm(dialect)
    address = ip_address(sample.address) if sample.address else None
    order = MintOrder(now=NOW, expires=NOW + 300, address=address, extras=sample.extras, nonce="n" * 22)
    signed = DIALECTS[dialect].mint(parse_target(sample.target, waive=waivers(where)), where, key, order)
    asked = edge(signed, client=sample.address or CLIENT, waive=waivers(where))
    return prove(asked, where, Keyring([key])).claims, asked.target.path


def test_only_a_full_record_names_the_holder() -> None:
    """A name that is not in it can be written by nobody."""
    for detail in ("brief", "standard", "full"):
        audit = audited_holder(template(audit={"detail": detail}), claims(**NAMES), "/a.jpg")
        told = {name: getattr(audit, name) for name in NAMES}
        assert audit.detail == detail
        assert told == (NAMES if detail == "full" else dict.fromkeys(NAMES, ""))


def test_nobody_is_named_by_what_is_not_authentic() -> None:
    """The rules hold already where the signature does not."""
    audit = audited(template(version=3, audit={"detail": "full"}, retention="90d"))
    assert (audit.template, audit.detail, audit.user) == ("draft@3", "full", "")
    assert audit.retention.at(Place("NO")) == 90 * 86_400


@pytest.mark.parametrize("dialect", SHARED)
def test_no_signature_is_written_down(dialect: str) -> None:
    """Where it stands in the path, too: signed with another key, the same is written."""
    key = sample_key(dialect)
    written = set()
    for material in (key.material, key.material[::-1]):
        proven, path = authentic(dialect, replace(key, material=material))
        written.add(audited_holder(None, proven, path).path or path)
    assert len(written) == 1


def test_regions_shorten_the_retention() -> None:
    """Of two regions that hold a country, the shorter; one without a time of its own changes nothing."""
    regions = {
        "eu": {"countries": ["DE", "FR"], "note": "GDPR", "retention": "30d"},
        "de": {"countries": ["DE"], "note": "BDSG", "retention": "14d"},
        "ch": {"countries": ["CH"], "note": "revDSG"},
    }
    kept = audited(template(retention="90d", regions=regions)).retention
    days = {country: kept.at(Place(country)) / 86_400 for country in ("DE", "FR", "CH", "NO")}
    assert days == {"DE": 14, "FR": 30, "CH": 90, "NO": 90}


def test_a_site_without_a_policy_says_nothing() -> None:
    """Its lines are as they were, without names and without an end."""
    assert audited(None) is UNRULED
    assert audited_holder(None, claims(**NAMES), "/a.jpg") is UNRULED
