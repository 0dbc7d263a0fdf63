"""Writes tiny MMDB files, by MaxMind's description of the format (https://maxmind.github.io/MaxMind-DB/)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

_BITS = 128
_SEPARATOR = bytes(16)
_MARKER = b"\xab\xcd\xefMaxMind.com"
_UTF8, _UINT32, _MAP, _UINT16, _UINT64, _ARRAY = 2, 6, 7, 5, 9, 11


def country(code: str, region: str = "") -> dict[str, Any]:
    """A record as MaxMind's have it, as far as it is read here."""
    record: dict[str, Any] = {"country": {"iso_code": code, "geoname_id": 1}}
    return record | ({"subdivisions": [{"iso_code": region}]} if region else {})


def mmdb(records: Mapping[str, Any], *, kind: str = "Test-Country") -> bytes:
    """A file with a record for each network; IPv4 stands at ::/96, as everywhere. No network may hold another one."""
    data = bytearray()
    nodes: list[list[Any]] = [[None, None]]
    for text, record in records.items():
        _insert(nodes, text, len(data))
        data += _encoded(record)
    tree = b"".join(_pointer(side, len(nodes)).to_bytes(4, "big") for node in nodes for side in node)
    about = {
        "binary_format_major_version": (2, _UINT16),
        "binary_format_minor_version": (0, _UINT16),
        "build_epoch": (1_764_000_000, _UINT64),
        "database_type": kind,
        "description": {"en": "made by a test"},
        "ip_version": (6, _UINT16),
        "languages": ["en"],
        "node_count": (len(nodes), _UINT32),
        "record_size": (32, _UINT16),
    }
    return tree + _SEPARATOR + bytes(data) + _MARKER + _encoded(about)


def _insert(nodes: list[list[Any]], text: str, offset: int) -> None:
    network = ip_network(text)
    length = network.prefixlen + (_BITS - network.max_prefixlen)
    number = int(network.network_address)
    node = 0
    for depth in range(length - 1):
        side = number >> (_BITS - 1 - depth) & 1
        if nodes[node][side] is None:
            nodes.append([None, None])
            nodes[node][side] = ("node", len(nodes) - 1)
        node = nodes[node][side][1]
    nodes[node][number >> (_BITS - length) & 1] = ("data", offset)


def _pointer(side: tuple[str, int] | None, count: int) -> int:
    if side is None:
        return count
    what, number = side
    return number if what == "node" else count + len(_SEPARATOR) + number


def _encoded(value: Any) -> bytes:
    match value:
        case str():
            text = value.encode()
            return _control(_UTF8, len(text)) + text
        case dict():
            return _control(_MAP, len(value)) + b"".join(_encoded(part) for pair in value.items() for part in pair)
        case list():
            return _control(_ARRAY, len(value)) + b"".join(map(_encoded, value))
        case (int(number), int(kind)):
            written = number.to_bytes((number.bit_length() + 7) // 8, "big")
            return _control(kind, len(written)) + written
        case _:
            return _encoded((value, _UINT32))


def _control(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([kind << 5 | size]) if kind <= 7 else bytes([size, kind - 7])
