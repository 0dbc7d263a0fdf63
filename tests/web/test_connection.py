"""What reaches the door at all: framing, limits, time-outs; and what we use of aiohttp's insides."""

from __future__ import annotations

import asyncio
import inspect

import aiohttp
import pytest
from aiohttp import base_protocol, http_parser
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from countermark.core.answer import Answer
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.web.connection import MAX_FIELD, MAX_FIELDS
from tests.web.conftest import WAIT, StartFront, until


async def ok(request: EdgeRequest, event: RequestEvent) -> Answer:
    return Answer(status=200, headers=(), body=b"fine")


REFUSED = {
    "both lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "list of lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "signed length": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "body on GET": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "body on POST": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "chunked": b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity, chunked": b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked on 1.0": b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF in a field": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host on 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "absolute form": b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk form": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "double slash": b"GET //x HTTP/1.1\r\nHost: a\r\n\r\n",
    "dot segment": b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded slash": b"GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded NUL": b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad escape": b"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 4,
    "no version": b"GET /\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
async def test_what_two_parsers_could_read_differently_is_refused(start_front: StartFront, raw: bytes) -> None:
    """Request smuggling: one problem document, nothing reaches the door, nothing behind it is read."""
    reached: list[str] = []

    async def reach(request: EdgeRequest, event: RequestEvent) -> Answer:
        reached.append(request.target.raw)
        return Answer(status=200, headers=())

    front = await start_front(reach)
    reader, writer = await front.connect()
    writer.write(raw)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert reached == []


async def test_what_follows_a_body_is_never_a_request(start_front: StartFront) -> None:
    """The classic: a second request hidden in the body of the first."""
    front = await start_front(ok)
    hidden = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(hidden), hidden)
    reader, writer = await front.connect()
    writer.write(raw)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in head
    await until(lambda: len(front.guard) == 0)
    assert [event.reason for event in front.events] == ["body_not_allowed"]


async def test_a_malformed_request_is_not_echoed(start_front: StartFront, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither to the client nor into the log, and without a traceback."""
    front = await start_front(ok)
    answer = await front.ask(b"GET / HTTP/1.1\r\nHost: a\r\nEvil header <script>\r\n\r\n")
    printed = capsys.readouterr()
    for text in (answer.decode(), printed.out, printed.err, front.events[0].detail, front.events[0].path):
        assert "script" not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_an_upgrade_is_never_taken(start_front: StartFront, upgrade: str) -> None:
    """Answered as plain HTTP/1.1, and the connection ends: nothing behind it can be smuggled through."""
    front = await start_front(ok)
    raw = f"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    answer = await front.ask((raw + "GET /b HTTP/1.1\r\nHost: a\r\n\r\n").encode())
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer
    assert [event.path for event in front.events] == ["/a"]


@pytest.mark.parametrize(
    "fields",
    [
        [f"A: {'x' * (MAX_FIELD + 1)}"],
        [f"A{number}: x" for number in range(MAX_FIELDS)],
        [f"A{number}: {'x' * 3000}" for number in range(12)],
    ],
    ids=["one", "many", "together"],
)
async def test_large_header_fields_are_431(start_front: StartFront, fields: list[str]) -> None:
    """Each, their number and their sum are bounded."""
    front = await start_front(ok)
    reader, writer = await front.connect()
    writer.write("\r\n".join(["GET / HTTP/1.1", "Host: a", *fields, "", ""]).encode())
    assert (await asyncio.wait_for(reader.readline(), WAIT)).startswith(b"HTTP/1.1 431 ")
    writer.close()
    await until(lambda: bool(front.events))
    assert front.events[0].reason == "header_too_large"


async def test_fields_at_the_bounds_are_read(start_front: StartFront) -> None:
    """The bounds are where they are said to be."""
    front = await start_front(ok)
    fields = [f"A{number}: {'x' * 3900}" for number in range(8)]
    assert (await front.get("/a", *fields))[0] == 200


async def test_a_target_that_is_too_long_is_414(start_front: StartFront) -> None:
    """From the parser's bound and from the target's own."""
    front = await start_front(ok)
    for length in (8100, 9000):
        reader, writer = await front.connect()
        writer.write(b"GET /" + b"x" * length + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), WAIT)).startswith(b"HTTP/1.1 414 ")
        writer.close()


async def test_an_unfinished_header_ends_the_connection(start_front: StartFront) -> None:
    """Also when bytes keep coming, and also on a connection that was good before."""
    front = await start_front(ok, header_timeout=0.2)
    reader, writer = await front.connect()
    writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"fine"), WAIT)
    writer.write(b"GET /b HTT")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), WAIT)
    assert front.guard.ended["header_timeout"] == 1


async def test_an_idle_connection_outlives_the_header_deadline(start_front: StartFront) -> None:
    """Its own time-out is another: after it the connection is closed, not reset."""
    front = await start_front(ok, header_timeout=0.05, keepalive_timeout=0.5)
    reader, writer = await front.connect()
    for byte in b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n":
        writer.write(bytes([byte]))
    await asyncio.wait_for(reader.readuntil(b"fine"), WAIT)
    assert await asyncio.wait_for(reader.read(), WAIT) == b""
    writer.close()
    assert front.guard.ended["header_timeout"] == 0
    assert front.guard.ended["keepalive_timeout"] == 1


async def test_a_client_that_never_reads_is_cut_at_the_write_deadline(start_front: StartFront) -> None:
    """And its answer's memory is let go."""

    async def large(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), body=b"x" * 100_000_000)

    front = await start_front(large, write_timeout=0.2)
    _reader, writer = await front.connect()  # a reader that nobody reads pauses after some kilobytes
    writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: bool(front.events))
    assert front.guard.ended["write_timeout"] == 1
    assert front.events[0].aborted
    await until(lambda: len(front.guard) == 0)
    writer.transport.abort()


async def test_slow_connections_do_not_keep_good_ones_out(start_front: StartFront) -> None:
    """With the guard full of unfinished headers, every good request is answered."""
    front = await start_front(ok, connections=20)
    slow = [await front.connect() for _ in range(60)]
    for _, writer in slow:
        writer.write(b"GET /slow HTTP/1.1\r\nHo")
    assert [(await front.get("/a"))[0] for _ in range(10)] == [200] * 10
    assert len(front.guard) <= 20
    for _, writer in slow:
        writer.transport.abort()


async def test_a_flood_of_pipelined_requests_is_read_no_faster_than_answered(start_front: StartFront) -> None:
    """A client that sends and sends is paused, and all its requests are answered in order."""
    gate = asyncio.Event()

    async def wait(request: EdgeRequest, event: RequestEvent) -> Answer:
        await gate.wait()
        return Answer(status=200, headers=(), body=request.target.raw.encode() + b";")

    front = await start_front(wait)
    reader, writer = await front.connect()
    count = 500
    requests = [f"GET /{number} HTTP/1.1\r\nHost: a\r\n" for number in range(count)]
    writer.write(("\r\n".join(requests) + "Connection: close\r\n\r\n").encode())
    gate.set()
    answer = await asyncio.wait_for(reader.read(), WAIT)
    writer.close()
    places = [answer.index(b"/%d;" % number) for number in range(count)]
    assert places == sorted(places)


def test_aiohttp_still_has_what_the_connection_stands_on() -> None:
    """A release that changes these names or shapes must be looked at before it is used."""
    assert aiohttp.__version__.startswith("3.14."), "read aiohttp's changes to its parser and protocol, then move this"
    protocol = base_protocol.BaseProtocol
    for method in ("_drain_helper", "_pause_reading_for_buffer", "_resume_reading_for_buffer", "pause_writing"):
        assert inspect.isfunction(getattr(protocol, method))
    assert {"_loop", "_paused", "_parser", "_buffer_paused", "transport"} <= set(protocol.__slots__)
    assert http_parser.HttpRequestParser.__module__ == "aiohttp._http_parser", "the C parser is not there"


async def test_aiohttps_parser_still_answers_as_the_connection_expects() -> None:
    """Messages with their payload, a pause after the queue is full, no decompression."""
    loop = asyncio.get_running_loop()
    parser = http_parser.HttpRequestParser(
        base_protocol.BaseProtocol(loop), loop, 65536, max_headers=2, auto_decompress=False, max_msg_queue_size=2
    )
    one = b"GET /a?b=%2f HTTP/1.1\r\nHost: a\r\n\r\n"
    messages, upgraded, tail = parser.feed_data(one * 5)
    assert (len(messages), upgraded, tail) == (2, False, b"")
    message, payload = messages[0]
    assert payload is EMPTY_PAYLOAD
    assert (message.method, message.path, message.should_close) == ("GET", "/a?b=%2f", False)
    assert message.raw_headers == ((b"Host", b"a"),)
    parser.message_consumed()
    parser.message_consumed()
    assert len(parser.feed_data(b"")[0]) == 2
    with pytest.raises(HttpProcessingError, match="Too many headers"):
        http_parser.HttpRequestParser(base_protocol.BaseProtocol(loop), loop, 65536, max_headers=1).feed_data(
            b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"
        )
