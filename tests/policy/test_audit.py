"""What a template says of the record of a request."""

from __future__ import annotations

from countermark.core.audit import UNRULED
from countermark.core.place import Place
from countermark.policy.audit import audited
from tests.policy.drafts import claims, template

NAMES = {"user": "anna", "client_id": "acme", "session": "s" * 16, "jti": "t1", "context": "spring", "preset": "card"}


def test_only_a_full_record_names_the_holder() -> None:
    """A name that is not in it can be written by nobody."""
    for detail in ("brief", "standard", "full"):
        audit = audited(template(audit={"detail": detail}), claims(**NAMES))
        told = {name: getattr(audit, name) for name in NAMES}
        assert audit.detail == detail
        assert told == (NAMES if detail == "full" else dict.fromkeys(NAMES, ""))


def test_nobody_is_named_by_what_is_not_authentic() -> None:
    """The rules hold already where the signature does not."""
    audit = audited(template(version=3, audit={"detail": "full"}, retention="90d"))
    assert (audit.template, audit.detail, audit.user) == ("draft@3", "full", "")
    assert audit.retention.at(Place("NO")) == 90 * 86_400


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
    assert audited(None, claims(**NAMES)) is UNRULED
