"""Countries of addresses from an MMDB file, through maxminddb (the extra `geo`)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import islice
from typing import Any

import structlog
from maxminddb import InvalidDatabaseError, Reader, open_database

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.core.place import NOWHERE, Place, read_place
from countermark.core.request import Address

# Networks that are looked through at the start for one that has a country; real files begin with many.
_PROBED = 1000

# What a damaged file brings: its C reader knows the first two, the one in Python all of them.
_DAMAGE = (InvalidDatabaseError, ValueError, TypeError, RecursionError)

log = structlog.get_logger("countermark.backends")


class GeoDatabase:
    """The file, mapped into memory, so that the workers of a machine share it.

    It must be replaced by renaming another file over it: written anew in place it would change under the reader.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._only_ipv4 = reader.metadata().ip_version == 4
        self._complained = False

    def locate(self, address: Address) -> Place:
        """Where an address is; nowhere, if the file does not know it or is damaged there."""
        if address.version == 6 and self._only_ipv4:
            return NOWHERE
        try:
            return _place(self._reader.get(address))
        except _DAMAGE as error:
            if not self._complained:
                self._complained = True
                log.error("the geo database is damaged", error=str(error))
            return NOWHERE


def open_geo(path: str) -> GeoDatabase:
    """The database of a file with countries, in the layout of MaxMind's. Raises ConfigurationInvalid."""
    try:
        reader = open_database(path)
    except OSError as error:
        raise _invalid(f"{path} cannot be read: {error.strerror or error}") from None
    except _DAMAGE:
        raise _invalid(f"{path} is no MMDB file, or not a whole one") from None
    try:
        if any(place.country for place in islice(_places(reader), _PROBED)):
            return GeoDatabase(reader)
        kind = reader.metadata().database_type[:80]
    except _DAMAGE:
        raise _invalid(f"{path} is damaged") from None
    raise _invalid(f"{path} has no countries; its type is {kind!r}")


def _places(reader: Reader) -> Iterator[Place]:
    """The places of the IPv4 networks, in order. By single questions: the iterator of maxminddb 3.2 overruns its memory
    where the tree of a damaged file has a loop."""
    number = 0
    while number < 2**32:
        record, length = reader.get_with_prefix_len(IPv4Address(number))
        yield _place(record)
        number = (number | (2**32 - 1) >> max(length, 1)) + 1


def _place(record: Any) -> Place:
    """`country.iso_code` and `subdivisions[0].iso_code`; what has another shape is unknown."""
    match record:
        case {"country": {"iso_code": str(country)}, "subdivisions": [{"iso_code": str(region)}, *_]}:
            return read_place(country, region)
        case {"country": {"iso_code": str(country)}}:
            return read_place(country)
    return NOWHERE


def _invalid(message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path="geo.database", message=message)])
