"""The vendors' own spellings of country and region."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.place import NOWHERE, Place
from countermark.settings.model import HopSettings
from countermark.web.country import COUNTRY_FIELDS, country_source, read_edgescape, read_google

EDGESCAPE = "georegion=263,country_code=US,region_code=MA,city=CAMBRIDGE,lat=42.3933,zip=02138-02142+02238,asnum=21399"


def told(hop: HopSettings, fields: dict[str, str]) -> Place:
    source = country_source(hop)
    assert source is not None
    return source.read(fields.get(source.country, ""), fields.get(source.region, ""))


@pytest.mark.parametrize(
    ("vendor", "fields"),
    [
        ("cloudflare", {"cf-ipcountry": "US", "cf-region-code": "MA"}),
        ("cloudfront", {"cloudfront-viewer-country": "US", "cloudfront-viewer-country-region": "MA"}),
        ("akamai", {"x-akamai-edgescape": EDGESCAPE}),
        ("vercel", {"x-vercel-ip-country": "US", "x-vercel-ip-country-region": "MA"}),
        ("bunny", {"cdn-requestcountrycode": "US", "cdn-requeststatecode": "MA"}),
        ("fastly", {"x-geo": "US", "x-part": "MA"}),
        ("google", {"x-geo": "US", "x-part": "USMA"}),
        ("azure", {"x-geo": "US", "x-part": "MA"}),
        ("header", {"x-geo": "us", "x-part": "US-MA"}),
    ],
)
def test_each_vendors_fields_are_known(vendor: str, fields: dict[str, str]) -> None:
    """By the names of the vendor, or by those that the settings give."""
    named = vendor in ("fastly", "google", "azure", "header")
    hop = HopSettings(country=vendor, country_header="X-Geo" if named else "", region_header="X-Part" if named else "")
    assert told(hop, fields) == Place("US", "MA")
    assert told(hop, {}) == NOWHERE
    assert named or fields.keys() <= COUNTRY_FIELDS


@pytest.mark.parametrize("country", ["auto", "mmdb"])
def test_without_a_vendor_no_field_is_read(country: str) -> None:
    """The database, if there is one, is not the header's to answer for."""
    assert country_source(HopSettings(country=country)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "country_code=reserved",
        "country_code=US,country_code=DE",
        f"{EDGESCAPE}, {EDGESCAPE}",
        "country_code=US,<script>",
        "region_code=MA",
    ],
)
def test_an_edgescape_that_akamai_would_not_write_is_unknown(text: str) -> None:
    """Reserved networks, a pair or the whole field twice, what is no pair."""
    assert read_edgescape(text) == NOWHERE


@given(st.text(max_size=300), st.text(max_size=10))
def test_no_text_raises(text: str, other: str) -> None:
    """Whatever stands there, there is a place."""
    assert isinstance(read_edgescape(text), Place)
    assert isinstance(read_google(text, other), Place)
