"""What a web server can do wrong, each case by a server that does it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec import Struct, field

from countermark.backends.origins.http import open_http
from countermark.core.errors import (
    CountermarkError,
    OriginalMissing,
    OriginDenied,
    OriginForbidden,
    OriginTimeout,
    OriginUnreachable,
    PictureTooLarge,
)
from countermark.core.picture import OriginFacts
from countermark.ports import ByteRange
from countermark.settings.model import OriginSettings

Writer = asyncio.StreamWriter
Play = Callable[["Request", Writer], Awaitable[None]]

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Request(Struct):
    """A request as the server read it."""

    line: str
    headers: dict[str, str]


class Server(Struct):
    """A server that plays one part, and what it was asked."""

    port: int
    requests: list[Request] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(play: Play, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                request = Request(head[0], {name.lower(): value for name, value in pairs})
                server.requests.append(request)
                await play(request, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            server.closed.set()
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, host, 0)
    server = Server(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(*parts: bytes, close: bool = False) -> Play:
    """A server that answers each request with these bytes."""

    async def play(request: Request, writer: Writer) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if close:
            writer.close()

    return play


async def hanging(request: Request, writer: Writer) -> None:
    await asyncio.Event().wait()


def settings(url: str, **changes: object) -> OriginSettings:
    defaults: dict[str, object] = {"allow_networks": ("127.0.0.1/32",), "connect_timeout": 5.0, "read_timeout": 10.0}
    return OriginSettings(url=url, **(defaults | changes))  # type: ignore[arg-type]


async def fetch(config: OriginSettings, key: str = "cat.jpg", byte_range: ByteRange | None = None) -> bytes:
    origin = await open_http("photos", config)
    try:
        async with origin.open(key, byte_range) as body:
            return b"".join([chunk async for chunk in body.chunks()])
    finally:
        await origin.close()


async def stat(config: OriginSettings, key: str = "cat.jpg") -> OriginFacts:
    origin = await open_http("photos", config)
    try:
        return await origin.stat(key)
    finally:
        await origin.close()


async def test_the_request_is_plain_and_carries_the_configured_headers() -> None:
    """The base path is kept, the key encoded, no coding asked for, and the credentials sent."""
    async with serving(saying(WHOLE)) as server:
        config = settings(f"{server.url}/base/", headers={"Authorization": "Bearer x"})
        assert await fetch(config, "a b/ü%?.jpg") == b"hello"
    (request,) = server.requests
    assert request.line == "GET /base/a%20b/%C3%BC%25%3F.jpg HTTP/1.1"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["authorization"] == "Bearer x"
    assert "cookie" not in request.headers


async def test_cookies_are_not_kept() -> None:
    """One caller's answer does not colour the next request."""
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=me\r\nContent-Length: 1\r\n\r\nx"
    async with serving(saying(answer)) as server:
        origin = await open_http("photos", settings(server.url))
        for _ in range(2):
            async with origin.open("a") as body:
                assert [chunk async for chunk in body.chunks()] == [b"x"]
        await origin.close()
    assert all("cookie" not in request.headers for request in server.requests)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", OriginalMissing),
        ("410 Gone", OriginalMissing),
        ("401 Unauthorized", OriginDenied),
        ("403 Forbidden", OriginDenied),
        ("500 Oops", OriginUnreachable),
        ("503 Busy", OriginUnreachable),
        ("204 No Content", OriginUnreachable),
        ("304 Not Modified", OriginUnreachable),
        ("418 Teapot", OriginUnreachable),
    ],
)
async def test_a_status_becomes_its_error(status: str, error: type[CountermarkError]) -> None:
    """Missing, denied and failing are told apart, for GET and HEAD."""
    async with serving(saying(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())) as server:
        with pytest.raises(error) as raised:
            await fetch(settings(server.url))
        assert type(raised.value) is error
        assert "127.0.0.1" not in raised.value.detail
        with pytest.raises(error):
            await stat(settings(server.url))


async def test_validators_are_read() -> None:
    """ETag with its quotes, Last-Modified as unix time."""
    head = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: W/"v1"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n'
    )
    async with serving(saying(head)) as server:
        facts = await stat(settings(server.url))
    assert facts == OriginFacts(size=5, etag='W/"v1"', modified=784111777.0)


@pytest.mark.parametrize("line", [b"ETag: bare", b'ETag: "a" "b"', b"Last-Modified: yesterday", b"Last-Modified: "])
async def test_validators_that_make_no_sense_are_no_validators(line: bytes) -> None:
    """What cannot be compared is not kept."""
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + line + b"\r\n\r\n")) as server:
        assert await stat(settings(server.url)) == OriginFacts(size=5)


@pytest.mark.parametrize("refusal", [b"405 Method Not Allowed", b"501 Not Implemented"])
async def test_stat_works_where_head_is_not_allowed(refusal: bytes) -> None:
    """The facts then come from a GET of the first byte, and of an empty object from its refusal."""
    answers = {
        "full": b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/77\r\nContent-Length: 1\r\n\r\nx",
        "whole": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000),
        "empty": b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n",
    }

    async def play(request: Request, writer: Writer) -> None:
        method, target, _ = request.line.split()
        writer.write(b"HTTP/1.1 " + refusal + b"\r\n\r\n" if method == "HEAD" else answers[target[1:]])

    async with serving(play) as server:
        sizes = [(await stat(settings(server.url), key)).size for key in ("full", "whole", "empty")]
    assert sizes == [77, 1_000_000, 0]


async def test_a_closed_port_is_unreachable() -> None:
    """Nobody listens there."""
    async with serving(saying(WHOLE)) as server:
        pass
    with pytest.raises(OriginUnreachable):
        await fetch(settings(server.url))


async def test_an_origin_that_accepts_and_says_nothing_times_out() -> None:
    """The wait for the header is bounded."""
    async with serving(hanging) as server:
        with pytest.raises(OriginTimeout):
            await fetch(settings(server.url, read_timeout=0.1))
        with pytest.raises(OriginTimeout):
            await stat(settings(server.url, read_timeout=0.1))


async def test_an_origin_that_does_not_shake_hands_times_out() -> None:
    """TLS that never answers counts as connecting."""
    async with serving(hanging) as server:
        with pytest.raises(OriginTimeout):
            await fetch(settings(server.url.replace("http:", "https:"), connect_timeout=0.1))


async def test_a_header_that_drips_times_out() -> None:
    """A byte now and then keeps a read timeout quiet, and still does not hold us."""

    async def play(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(play) as server:
        with pytest.raises(OriginTimeout):
            await fetch(settings(server.url, connect_timeout=0.2, read_timeout=0.2))


async def test_a_body_that_stops_times_out() -> None:
    """The wait between two chunks is bounded."""

    async def play(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
        await hanging(request, writer)

    async with serving(play) as server:
        with pytest.raises(OriginTimeout):
            await fetch(settings(server.url, read_timeout=0.1))


async def test_waiting_for_a_place_in_the_pool_counts_as_connecting() -> None:
    """When all connections are in use the next request is not kept for ever."""
    slow = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    async with serving(slow) as server:
        origin = await open_http("photos", settings(server.url, connections=1, connect_timeout=0.1))
        async with origin.open("a"):
            with pytest.raises(OriginTimeout):
                async with origin.open("b"):
                    pass
        await origin.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"",
    ],
)
async def test_an_answer_that_may_be_cut_is_an_error(answer: bytes) -> None:
    """Cut, of unknown length, ambiguous or no HTTP at all: nothing of it passes for a whole picture."""
    async with serving(saying(answer, close=True)) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url))


async def test_a_chunked_body_is_read_whole() -> None:
    """Its end is marked, so no length is needed; the size is then unknown beforehand."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    async with serving(saying(answer)) as server:
        assert await fetch(settings(server.url)) == b"hello"


async def test_a_reset_amid_the_body_is_an_error_and_not_repeated() -> None:
    """After the first byte nothing is tried again."""

    async def play(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()

    async with serving(play) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url))
    assert len(server.requests) == 1


async def test_a_connection_that_dies_before_the_answer_is_tried_once_more() -> None:
    """A kept connection that the origin has just closed costs nobody an error."""

    async def play(request: Request, writer: Writer) -> None:
        if len(server.requests) == 1:
            writer.transport.abort()
        else:
            writer.write(WHOLE)

    async with serving(play) as server:
        assert await fetch(settings(server.url)) == b"hello"
    assert len(server.requests) == 2


async def test_an_origin_that_always_dies_is_tried_twice_and_not_more() -> None:
    """A retry is not a loop."""

    async def play(request: Request, writer: Writer) -> None:
        writer.transport.abort()

    async with serving(play) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url))
    assert len(server.requests) == 2


@pytest.mark.parametrize("late", [False, True])
async def test_more_than_was_said_is_not_taken_for_the_next_answer(late: bool) -> None:
    """Bytes behind the body must not answer another request (response splitting), sent at once or when idle."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!"
    read = asyncio.Event()

    async def play(request: Request, writer: Writer) -> None:
        if len(server.requests) > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
            return
        writer.write(WHOLE)
        if late:
            await read.wait()
        writer.write(smuggled)
        sent.set()

    sent = asyncio.Event()
    async with serving(play) as server:
        origin = await open_http("photos", settings(server.url))
        bodies = []
        for key in ("a", "b"):
            async with origin.open(key) as body:
                bodies.append(b"".join([chunk async for chunk in body.chunks()]))
            read.set()
            await sent.wait()
            await asyncio.sleep(0.1)  # the bytes cross the loopback; nobody tells when
        await origin.close()
    assert bodies == [b"hello", b"good"]


async def test_a_chunked_body_beyond_the_cap_is_cut_off() -> None:
    """An endless body of unknown length is bounded by counting."""

    async def play(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()

    async with serving(play) as server:
        with pytest.raises(PictureTooLarge):
            await fetch(settings(server.url, max_bytes=10**6, max_stream_bytes=10**6))
        async with asyncio.timeout(10):
            await server.closed.wait()


async def test_a_coded_body_is_refused_and_never_unfolded() -> None:
    """A gzip bomb is not even looked at."""
    bomb = gzip.compress(bytes(10**7))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with serving(saying(head, bomb)) as server:
        with pytest.raises(OriginUnreachable, match="coding"):
            await fetch(settings(server.url))


@pytest.mark.parametrize(
    "content_range",
    [b"bytes 0-4/10", b"bytes 2-5/10", b"bytes 2-6/6", b"bytes */10", b"items 2-6/10", b"bytes 2-6", b""],
)
async def test_another_range_than_asked_for_is_refused(content_range: bytes) -> None:
    """A shifted slice would be served as the bytes that were asked for."""
    answer = b"HTTP/1.1 206 Partial\r\nContent-Range: " + content_range + b"\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(saying(answer)) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url), byte_range=ByteRange(2, 6))


async def test_a_range_of_another_length_than_it_says_is_refused() -> None:
    """Content-Range and Content-Length have to agree."""
    answer = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 2-6/10\r\nContent-Length: 4\r\n\r\nhell"
    async with serving(saying(answer)) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url), byte_range=ByteRange(2, 6))


async def test_a_part_that_nobody_asked_for_is_refused() -> None:
    """A 206 without a Range would be kept as the whole."""
    answer = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(saying(answer)) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url))


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_origin_without_ranges_is_cut_to_the_range(framing: str) -> None:
    """A 200 for a range is allowed; the wanted part of it is taken."""
    content = b"0123456789"
    if framing == "length":
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + content
    else:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer += b"".join(b"1\r\n%c\r\n" % digit for digit in content) + b"0\r\n\r\n"
    async with serving(saying(answer)) as server:
        assert await fetch(settings(server.url), byte_range=ByteRange(3, 6)) == b"3456"
        assert await fetch(settings(server.url), byte_range=ByteRange(9, 9)) == b"9"
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url), byte_range=ByteRange(10, 12))


async def test_a_redirect_is_not_followed_unless_configured() -> None:
    """The default follows none."""
    async with serving(saying(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")) as server:
        with pytest.raises(OriginUnreachable, match="redirect"):
            await fetch(settings(server.url))
    assert len(server.requests) == 1


def redirecting(target: Callable[[], str]) -> Play:
    async def play(request: Request, writer: Writer) -> None:
        writer.write(f"HTTP/1.1 307 There\r\nLocation: {target()}\r\nContent-Length: 0\r\n\r\n".encode())

    return play


async def test_credentials_follow_to_the_same_host_and_never_to_another() -> None:
    """A redirect must not carry the configured headers to whoever it names."""
    async with AsyncExitStack() as stack:
        last = await stack.enter_async_context(serving(saying(WHOLE)))

        async def play(request: Request, writer: Writer) -> None:
            target = "/moved?x=%2F" if len(first.requests) == 1 else f"{last.url}/elsewhere"
            await redirecting(lambda: target)(request, writer)

        first = await stack.enter_async_context(serving(play))
        config = settings(first.url, redirects=2, headers={"Authorization": "secret", "X-Key": "secret"})
        assert await fetch(config) == b"hello"
    assert [request.line.split()[1] for request in first.requests] == ["/cat.jpg", "/moved?x=%2F"]
    assert all(request.headers["authorization"] == "secret" for request in first.requests)
    assert "secret" not in last.requests[0].headers.values()


async def test_a_redirect_loop_ends() -> None:
    """Redirects are counted."""
    async with serving(redirecting(lambda: "/cat.jpg")) as server:
        with pytest.raises(OriginUnreachable, match="redirect"):
            await fetch(settings(server.url, redirects=3))
    assert len(server.requests) == 4


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"])
async def test_a_redirect_to_a_forbidden_address_is_not_followed(host: str) -> None:
    """The check is made for each connection, also for literals, where a resolver would not be asked."""
    async with serving(saying(WHOLE), host="127.0.0.2") as inner:
        target = f"http://{host}:{inner.port}/secret"
        async with serving(redirecting(lambda: target), host="127.0.0.3") as server:
            config = settings(f"http://127.0.0.3:{server.port}", redirects=1, allow_networks=("127.0.0.3/32",))
            with pytest.raises(OriginForbidden):
                await fetch(config)
    assert inner.requests == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://[::1", "//", "", "http://127.0.0.1:99999/"],
)
async def test_a_redirect_that_makes_no_sense_is_an_error(location: str) -> None:
    """Other schemes and broken addresses end there."""
    async with serving(redirecting(lambda: location)) as server:
        with pytest.raises(OriginUnreachable):
            await fetch(settings(server.url, redirects=3))


async def test_a_redirect_with_a_user_is_forbidden() -> None:
    """`allowed@forbidden` is an old trick."""
    async with serving(redirecting(lambda: f"http://photos.example@127.0.0.1:{server.port}/")) as server:
        with pytest.raises(OriginForbidden):
            await fetch(settings(server.url, redirects=1))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "0.0.0.0"]
)
async def test_an_origin_on_a_forbidden_address_is_never_reached(host: str) -> None:
    """Without an exception in the configuration, loopback is refused in every spelling."""
    async with serving(saying(WHOLE)) as server:
        with pytest.raises(OriginForbidden):
            await fetch(settings(f"http://{host}:{server.port}", allow_networks=()))
    assert server.requests == []


async def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would make the connections that the address check forbids."""
    async with serving(saying(WHOLE)) as proxy, serving(saying(WHOLE)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert await fetch(settings(server.url)) == b"hello"
    assert proxy.requests == []


async def test_leaving_early_closes_the_connection() -> None:
    """An abandoned transfer ends at the origin too."""

    async def play(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    async with serving(play) as server:
        origin = await open_http("photos", settings(server.url))
        async with origin.open("cat.jpg") as body:
            async for _ in body.chunks():
                break
        async with asyncio.timeout(10):
            await server.closed.wait()
        await origin.close()


async def test_a_whole_body_leaves_its_connection_for_the_next() -> None:
    """Reading to the end is rewarded with one connection for all."""
    connections: set[object] = set()

    async def play(request: Request, writer: Writer) -> None:
        connections.add(writer.get_extra_info("peername"))
        writer.write(WHOLE)

    async with serving(play) as server:
        origin = await open_http("photos", settings(server.url))
        for _ in range(5):
            async with origin.open("cat.jpg") as body:
                assert b"".join([chunk async for chunk in body.chunks()]) == b"hello"
        await origin.close()
    assert len(connections) == 1
