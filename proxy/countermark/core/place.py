"""Where a client is: country and region, or nowhere that is known."""

from __future__ import annotations

import re

from msgspec import Struct

_COUNTRY = re.compile(r"[A-Z]{2}")
# ISO 3166-1 gives these to nobody (AA, QM-QZ, XA-XZ, ZZ) and vendors say "unknown" or a continent with some of them. XK
# is Kosovo to every vendor.
_NO_COUNTRY = re.compile(r"AA|AP|EU|Q[M-Z]|X[A-JL-Z]|ZZ")
_REGION = re.compile(r"[A-Z0-9]{1,3}")


class Place(Struct, frozen=True):
    """ISO 3166-1 alpha-2 code of the country, and the code of its subdivision behind the hyphen (ISO 3166-2); both in
    upper case, "" where not known."""

    country: str = ""
    region: str = ""


NOWHERE = Place()


def read_place(country: str, region: str = "") -> Place:
    """The place that two codes name. What is no country, such as T1, XX, ZZ or two values joined, is unknown; so is a
    region that has no code, or stands without its country."""
    # Some letters beyond ASCII have ASCII capitals.
    if not (country.isascii() and region.isascii()):
        return NOWHERE
    code = country.upper()
    if not _COUNTRY.fullmatch(code) or _NO_COUNTRY.fullmatch(code):
        return NOWHERE
    part = region.upper().removeprefix(f"{code}-")
    return Place(country=code, region=part if _REGION.fullmatch(part) else "")
