"""The header of the PROXY protocol, versions 1 and 2 (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt)."""

from __future__ import annotations

import re
import struct
from ipaddress import ip_address

from msgspec import Struct

from countermark.core.errors import Malformed
from countermark.web.address import parse_address

# Bytes of a line of version 1 with its end, and of the largest header of version 2 that is read: addresses and some TLVs.
MAX_LINE = 107
MAX_HEADER = 4096

_LINE_START = b"PROXY "
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
_FAMILIES = {"TCP4": 4, "TCP6": 6}

# Lengths of the addresses by family and transport. Only those over TCP name a client of ours; the others are ways to
# say nothing: UNSPEC, datagrams, sockets of the sender's own machine.
_ADDRESSES = {0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_SOURCES = {0x11: 4, 0x21: 16}
_CRC32C = 0x03


class Announcement(Struct, frozen=True):
    """Bytes that the header takes, and the client's address, "" where the connection is the sender's own."""

    length: int
    client: str


def read_header(data: bytes) -> Announcement | None:
    """The header that a connection begins with, None while it is not whole. Raises Malformed."""
    if data.startswith(_LINE_START):
        return _version_1(data)
    if data.startswith(_SIGNATURE):
        return _version_2(data)
    if _LINE_START.startswith(data) or _SIGNATURE.startswith(data):
        return None
    raise _malformed("does not begin with a PROXY header")


def _version_1(data: bytes) -> Announcement | None:
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE:
            raise _malformed("has too long a line")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Announcement(end + 2, "")
    if len(words) != 6 or words[1] not in _FAMILIES:
        raise _malformed("is not PROXY, family, two addresses and two ports")
    source, destination, *ports = words[2:]
    if not all(_PORT.fullmatch(port) and int(port) < 65_536 for port in ports):
        raise _malformed("has a bad port")
    family = _FAMILIES[words[1]]
    if _family(destination) != family or _family(source) != family:
        raise _malformed("has a bad address")
    return Announcement(end + 2, _client(source))


def _family(text: str) -> int:
    """4 or 6, 0 for what is no address."""
    try:
        return ip_address(text).version
    except ValueError:
        return 0


def _version_2(data: bytes) -> Announcement | None:
    if len(data) < _FIXED:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    end = _FIXED + length
    if command not in (0x20, 0x21) or family not in _ADDRESSES:
        raise _malformed("has an unknown version, command or family")
    # A LOCAL header may be without the addresses of its family.
    addresses = _ADDRESSES[family] if command == 0x21 or length else 0
    if length < addresses or end > MAX_HEADER:
        raise _malformed("has a bad length")
    if len(data) < end:
        return None
    _check_rest(data[:end], _FIXED + addresses)
    if command == 0x20 or family not in _SOURCES:
        return Announcement(end, "")
    return Announcement(end, _client(str(ip_address(data[_FIXED : _FIXED + _SOURCES[family]]))))


def _check_rest(header: bytes, position: int) -> None:
    """The TLVs, whose CRC32C must be right where there is one."""
    summed = False
    while position < len(header):
        if position + 3 > len(header):
            raise _malformed("has a bad TLV")
        kind, length = struct.unpack_from("!BH", header, position)
        value = position + 3
        position = value + length
        if position > len(header):
            raise _malformed("has a bad TLV")
        if kind != _CRC32C:
            continue
        if summed or length != 4 or header[value:position] != _sum(header, value):
            raise _malformed("has a wrong checksum")
        summed = True


def _sum(header: bytes, place: int) -> bytes:
    return crc32c(header[:place] + bytes(4) + header[place + 4 :]).to_bytes(4, "big")


def _table() -> tuple[int, ...]:
    """RFC 3720 §12.1: the polynomial of Castagnoli, bits reversed."""
    values = list(range(256))
    for _ in range(8):
        values = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in values]
    return tuple(values)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720 §B.4."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _client(text: str) -> str:
    address = parse_address(text)
    if address is None:
        raise _malformed("has a bad address")
    return str(address)


def _malformed(what: str) -> Malformed:
    return Malformed(f"The connection {what}.")
