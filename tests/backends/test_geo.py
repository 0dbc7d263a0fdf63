"""Countries from an MMDB file, through the real reader."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.backends.geo import open_geo
from countermark.core.errors import ConfigurationInvalid
from countermark.core.place import NOWHERE, Place
from tests.mmdb import country, mmdb

RECORDS = {
    "198.51.100.0/24": country("DE", "BY"),
    "203.0.113.0/24": country("SE"),
    "192.0.2.0/24": country("ZZ"),
    "192.0.3.0/24": {"country": "FR"},
    "2001:db8::/32": country("JP"),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "countries.mmdb"
    path.write_bytes(mmdb(RECORDS))
    return path


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("198.51.100.7", Place("DE", "BY")),
        ("203.0.113.255", Place("SE")),
        ("2001:db8::7", Place("JP")),
        ("192.0.2.1", NOWHERE),
        ("192.0.3.1", NOWHERE),
        ("10.0.0.1", NOWHERE),
        ("2001:db9::7", NOWHERE),
    ],
)
def test_an_address_is_where_the_file_says(database: Path, address: str, place: Place) -> None:
    """Country and region; what is absent, reserved or of another shape is unknown."""
    assert open_geo(str(database)).locate(ip_address(address)) == place


def broken(kind: str) -> bytes:
    whole = mmdb(RECORDS)
    return {
        "empty": b"",
        "text": b"not a database" * 100,
        "cut": whole[: len(whole) // 2],
        "asn": mmdb({"198.51.100.0/24": {"autonomous_system_number": 64_500}}, kind="Test-ASN"),
        "damaged": whole.replace(b"iso_code", b"\xff" * 8),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "asn", "damaged"])
def test_a_file_without_countries_stops_the_start(tmp_path: Path, kind: str) -> None:
    """Else every allowlist would refuse everybody, and nobody would know why."""
    path = tmp_path / "countries.mmdb"
    path.write_bytes(broken(kind))
    with pytest.raises(ConfigurationInvalid) as caught:
        open_geo(str(path))
    (fault,) = caught.value.faults
    assert fault.path == "geo.database"
    assert str(path) in fault.message


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    """With its name and the reason."""
    with pytest.raises(ConfigurationInvalid, match=r"none\.mmdb cannot be read"):
        open_geo(str(tmp_path / "none.mmdb"))


@pytest.mark.filterwarnings(
    "ignore:PyUnicode_FromStringAndSize"
)  # maxminddb at a text of damaged length, on Python 3.11
@settings(max_examples=200)
@given(place=st.integers(0), byte=st.integers(0, 255))
def test_no_damage_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    """Each byte may be wrong: the file is refused, or answers, and an answer is a place."""
    data = bytearray(mmdb(RECORDS))
    data[place % len(data)] = byte
    path = tmp_path_factory.mktemp("geo") / "damaged.mmdb"
    path.write_bytes(data)
    try:
        database = open_geo(str(path))
    except ConfigurationInvalid:
        return
    for text in ("198.51.100.7", "203.0.113.1", "192.0.2.1", "2001:db8::7", "10.0.0.1"):
        assert isinstance(database.locate(ip_address(text)), Place)
