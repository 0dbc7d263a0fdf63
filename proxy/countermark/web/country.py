"""The header fields in which a CDN names its client's country and region; one vendor's are read for each hop."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from countermark.core.place import NOWHERE, Place, read_place
from countermark.settings.model import HopSettings

_PAIR = re.compile(r"([a-z_]+)=([^=,]*)")


class CountrySource(Struct, frozen=True, kw_only=True):
    """The fields, in lower case ("" for none), and what their two texts mean."""

    country: str
    region: str = ""
    read: Callable[[str, str], Place] = read_place


def read_edgescape(text: str, _: str = "") -> Place:
    """Akamai's field: `georegion=246,country_code=DE,region_code=BY,…`. A code may be `reserved`."""
    pairs = [_PAIR.fullmatch(part.strip()) for part in text.split(",")]
    facts = {pair[1]: pair[2] for pair in pairs if pair is not None}
    # A pair that is no pair or is there twice is not Akamai's spelling: then nothing of it is believed.
    if len(facts) != len(pairs):
        return NOWHERE
    return read_place(facts.get("country_code", ""), facts.get("region_code", ""))


def read_google(country: str, subdivision: str) -> Place:
    """{client_region} and {client_region_subdivision}, such as US and USCA."""
    return read_place(country, subdivision.upper().removeprefix(country.upper()))


_VENDORS: Mapping[str, CountrySource] = {
    "akamai": CountrySource(country="x-akamai-edgescape", read=read_edgescape),
    "bunny": CountrySource(country="cdn-requestcountrycode", region="cdn-requeststatecode"),
    "cloudflare": CountrySource(country="cf-ipcountry", region="cf-region-code"),
    "cloudfront": CountrySource(country="cloudfront-viewer-country", region="cloudfront-viewer-country-region"),
    "vercel": CountrySource(country="x-vercel-ip-country", region="x-vercel-ip-country-region"),
}

_CLOUDFLARE = (
    *("city", "continent", "country", "latitude", "longitude"),
    *("region", "region-code", "metro-code", "postal-code", "timezone"),
)
_CLOUDFRONT = (
    *("country", "country-name", "country-region", "country-region-name", "city", "postal-code", "time-zone"),
    *("latitude", "longitude", "metro-code", "asn"),
)
_VERCEL = ("country", "country-region", "city", "continent", "latitude", "longitude", "timezone", "postal-code")

COUNTRY_FIELDS = frozenset(
    {
        *(f"cf-ip{name}" for name in _CLOUDFLARE[:5]),
        *(f"cf-{name}" for name in _CLOUDFLARE[5:]),
        *(f"cloudfront-viewer-{name}" for name in _CLOUDFRONT),
        *(f"x-vercel-ip-{name}" for name in _VERCEL),
        "cdn-requestcountrycode",
        "cdn-requeststatecode",
        "fly-region",
        "x-akamai-edgescape",
    }
)
"""Every field that names a place: dropped, unless it is one that a proved hop is read by."""


def country_source(hop: HopSettings) -> CountrySource | None:
    """Where this hop's word on the country stands; None where it has none."""
    if hop.country in ("auto", "mmdb"):
        return None
    if hop.country in _VENDORS:
        return _VENDORS[hop.country]
    read = read_google if hop.country == "google" else read_place
    return CountrySource(country=hop.country_header.lower(), region=hop.region_header.lower(), read=read)
