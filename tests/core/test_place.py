"""Codes of countries and regions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.place import NOWHERE, Place, read_place


@pytest.mark.parametrize(
    ("country", "region", "place"),
    [
        ("DE", "BY", Place("DE", "BY")),
        ("de", "by", Place("DE", "BY")),
        ("US", "US-CA", Place("US", "CA")),
        ("GB", "ENG", Place("GB", "ENG")),
        ("FR", "75C2", Place("FR")),
        ("XK", "", Place("XK")),
        ("DE", "Bayern", Place("DE")),
        ("DE", "BY, CA", Place("DE")),
        ("", "BY", NOWHERE),
    ],
)
def test_codes_are_read_as_iso_has_them(country: str, region: str, place: Place) -> None:
    """Upper case, the region's code behind the hyphen, and no region without its country."""
    assert read_place(country, region) == place


@pytest.mark.parametrize(
    "country", ["T1", "XX", "ZZ", "AA", "QZ", "EU", "AP", "A1", "reserved", "DE, SE", "DE,DE", "ＤＥ", "D", "DEU", "ſs"]
)
def test_what_is_no_country_is_unknown(country: str) -> None:
    """Tor, vendors' words for unknown, codes that ISO gives to nobody, two values joined, look-alikes."""
    assert read_place(country, "BY") == NOWHERE


@given(st.text(max_size=5), st.text(max_size=8))
def test_any_text_is_a_place_or_none(country: str, region: str) -> None:
    """And what comes out has the form that policies compare with."""
    place = read_place(country, region)
    assert re.fullmatch(r"([A-Z]{2})?", place.country)
    assert re.fullmatch(r"[A-Z0-9]{0,3}", place.region)
