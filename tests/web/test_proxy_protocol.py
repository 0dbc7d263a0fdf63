"""PROXY headers, alone and at the beginning of real connections."""

from __future__ import annotations

import asyncio
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.answer import Answer
from countermark.core.errors import Malformed
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.settings.model import ServerSettings
from countermark.web.proxy_protocol import MAX_HEADER, MAX_LINE, Announcement, crc32c, read_header
from tests.web.conftest import WAIT, StartFront, until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n"
ENDPOINTS_4 = ip_address("198.51.100.7").packed + ip_address("192.0.2.1").packed + struct.pack("!HH", 4711, 80)
ENDPOINTS_6 = ip_address("2001:db8::7").packed + ip_address("2001:db8::1").packed + struct.pack("!HH", 4711, 80)
GET = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def version_2(addresses: bytes = ENDPOINTS_4, *, command: int = 0x21, family: int = 0x11, rest: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses + rest)) + addresses + rest


def summed(*, change: int = 0, rest: bytes = b"") -> bytes:
    """A header of version 2 with its checksum in the place where the TLV is."""
    whole = version_2(rest=b"\x03\0\4" + bytes(4) + rest)
    number = crc32c(whole) ^ change
    place = len(SIGNATURE) + 4 + len(ENDPOINTS_4) + 3
    return whole[:place] + number.to_bytes(4, "big") + whole[place + 4 :]


GOOD = {
    "line": (LINE, "198.51.100.7"),
    "line, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", "2001:db8::7"),
    "line, mapped": (b"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1 0 65535\r\n", "198.51.100.7"),
    "line, longest": (b"PROXY UNKNOWN " + b"f" * (MAX_LINE - 16) + b"\r\n", ""),
    "line, unknown": (b"PROXY UNKNOWN\r\n", ""),
    "binary": (version_2(), "198.51.100.7"),
    "binary, IPv6": (version_2(ENDPOINTS_6, family=0x21), "2001:db8::7"),
    "binary, local": (version_2(b"", command=0x20, family=0), ""),
    "binary, local with addresses": (version_2(command=0x20), ""),
    "binary, no family": (version_2(b"", family=0), ""),
    "binary, datagrams": (version_2(family=0x12), ""),
    "binary, sockets of its machine": (version_2(bytes(216), family=0x31), ""),
    "binary, with TLVs": (version_2(rest=b"\4\0\0" + b"\xe0\0\3abc"), "198.51.100.7"),
    "binary, with checksum": (summed(), "198.51.100.7"),
    "binary, with checksum and more": (summed(rest=b"\1\0\2h2"), "198.51.100.7"),
}

BAD = {
    "HTTP": GET,
    "line without end": b"PROXY TCP4 " + b"1" * MAX_LINE,
    "line too long": b"PROXY UNKNOWN " + b"f" * (MAX_LINE - 15) + b"\r\n",
    "lower case": LINE.lower(),
    "two spaces": LINE.replace(b"TCP4 ", b"TCP4  "),
    "another family": LINE.replace(b"TCP4", b"TCP6"),
    "no family": LINE.replace(b"TCP4", b"TCP5"),
    "octal": LINE.replace(b".7 ", b".07 "),
    "unspecified": LINE.replace(b"198.51.100.7", b"0.0.0.0"),
    "a name": LINE.replace(b"192.0.2.1", b"localhost"),
    "port with a zero": LINE.replace(b"4711", b"04711"),
    "port too large": LINE.replace(b"4711", b"65536"),
    "one port": LINE.replace(b" 80", b""),
    "more words": LINE.replace(b"80", b"80 81"),
    "bare LF": LINE.replace(b"\r\n", b"\n") + GET,
    "version 1 in binary": version_2(command=0x11),
    "unknown command": version_2(command=0x22),
    "unknown family": version_2(family=0x41),
    "addresses cut": version_2(ENDPOINTS_4[:-1]),
    "too long": version_2(rest=bytes(MAX_HEADER)),
    "TLV cut": version_2(rest=b"\4\0"),
    "TLV too long": version_2(rest=b"\4\0\2a"),
    "wrong checksum": summed(change=1),
    "two checksums": summed(rest=b"\3\0\4abcd"),
    "short checksum": version_2(rest=b"\3\0\2ab"),
    "unspecified in binary": version_2(bytes(12)),
}


@pytest.mark.parametrize(("header", "client"), GOOD.values(), ids=GOOD)
def test_a_whole_header_names_its_client(header: bytes, client: str) -> None:
    """And no byte behind it is taken; before its last byte it is not whole."""
    assert read_header(header + GET) == Announcement(len(header), client)
    for length in range(len(header)):
        assert read_header(header[:length]) is None


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_any_other_beginning_is_malformed(data: bytes) -> None:
    """Two readers of one header must not find two clients."""
    with pytest.raises(Malformed):
        read_header(data)


def test_the_checksum_is_castagnolis() -> None:
    """The known answers of RFC 3720 §B.4, and the usual one."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes([0xFF] * 32)) == 0x62A8AB43


@given(
    st.binary(max_size=300)
    | st.binary(max_size=120).map(lambda data: b"PROXY " + data)
    | st.binary(max_size=300).map(lambda data: SIGNATURE + data)
    | st.binary(max_size=60).map(lambda rest: version_2(rest=rest))
)
def test_any_bytes_are_a_header_or_not_whole_or_malformed(data: bytes) -> None:
    """Bounded, and an announced client is an address."""
    try:
        found = read_header(data)
    except Malformed:
        return
    if found is None:
        assert len(data) < MAX_HEADER
        return
    assert 0 < found.length <= len(data)
    assert not found.client or ip_address(found.client)


BEHIND = ServerSettings(proxy_protocol=("127.0.0.0/8",))
ELSEWHERE = ServerSettings(proxy_protocol=("10.0.0.0/8",))


async def ok(request: EdgeRequest, event: RequestEvent) -> Answer:
    return Answer(status=200, headers=(), body=str(request.client).encode())


@pytest.mark.parametrize("header", [LINE, version_2(), summed()])
async def test_the_announced_client_is_the_requests_client(start_front: StartFront, header: bytes) -> None:
    """In one piece with the request, or byte by byte."""
    front = await start_front(ok, server=BEHIND)
    assert (await front.ask(header + GET)).endswith(b"198.51.100.7")
    reader, writer = await front.connect()
    for byte in header + GET:
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await asyncio.wait_for(reader.read(), WAIT)).endswith(b"198.51.100.7")
    writer.close()
    assert [event.client for event in front.events] == ["198.51.100.7"] * 2


async def test_the_senders_own_connection_is_its_own(start_front: StartFront) -> None:
    """Health checks come as LOCAL or UNKNOWN."""
    front = await start_front(ok, server=BEHIND)
    for header in (b"PROXY UNKNOWN\r\n", version_2(b"", command=0x20, family=0)):
        assert (await front.ask(header + GET)).endswith(b"127.0.0.1")


@pytest.mark.parametrize("data", [GET, BAD["wrong checksum"], b"\x16\x03\x01" + bytes(20)])
async def test_who_must_announce_and_does_not_is_cut(start_front: StartFront, data: bytes) -> None:
    """Without an answer: there is nobody to whom it could go."""
    front = await start_front(ok, server=BEHIND)
    with pytest.raises(ConnectionResetError):
        await front.ask(data)
    assert front.guard.ended["proxy_header"] == 1
    assert front.events == []


@pytest.mark.parametrize("header", [LINE, version_2()])
async def test_nobody_else_may_announce(start_front: StartFront, header: bytes) -> None:
    """From outside of the networks it is no HTTP, and never a client's address."""
    front = await start_front(ok, server=ELSEWHERE)
    reader, writer = await front.connect()
    writer.write(header + GET)
    assert (await asyncio.wait_for(reader.readline(), WAIT)).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await until(lambda: bool(front.events))
    assert [event.client for event in front.events] == ["127.0.0.1"]


async def test_a_header_that_does_not_come_ends_the_connection(start_front: StartFront) -> None:
    """The guard's deadline runs from the connection's beginning to its first whole request."""
    front = await start_front(ok, server=BEHIND, header_timeout=0.2)
    for sent in (b"", b"PROXY TC", LINE, LINE + b"GET /a HTT"):
        reader, writer = await front.connect()
        writer.write(sent)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), WAIT)
    assert front.guard.ended["header_timeout"] == 4


async def test_caps_count_the_announced_client(start_front: StartFront) -> None:
    """One client with many open headers loses its own connections, and not those of others behind the same proxy."""
    front = await start_front(ok, server=BEHIND, connections_per_peer=2)
    silent = [await front.connect() for _ in range(3)]
    other = await front.connect()
    other[1].write(LINE.replace(b"198.51.100.7", b"203.0.113.9"))
    slow = [await front.connect() for _ in range(3)]
    for _, writer in slow:
        writer.write(LINE + b"GET /slow HTT")
        await writer.drain()
    await until(lambda: front.guard.ended["peer_full"] == 1)
    other[1].write(GET)
    assert (await asyncio.wait_for(other[0].read(), WAIT)).endswith(b"203.0.113.9")
    for _, writer in (*silent, *slow, other):
        writer.transport.abort()
    await until(lambda: len(front.guard) == 0)
    assert front.guard._unfinished == {}
