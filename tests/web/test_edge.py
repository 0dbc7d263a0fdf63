"""Requests and answers over real sockets, with a door that the test writes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator

import pytest

from countermark.core.answer import Answer
from countermark.core.errors import Expired, OriginUnreachable, SignatureInvalid
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from tests.web.conftest import WAIT, StartFront, until

BODY = b"picture" * 1000


async def ok(request: EdgeRequest, event: RequestEvent) -> Answer:
    return Answer(status=200, headers=(("Content-Type", "image/png"),), body=BODY)


async def test_a_whole_body_is_sent_with_its_length_and_a_date(start_front: StartFront) -> None:
    """The plain answer."""
    status, fields, body = await (await start_front(ok)).get("/cat.png")
    assert (status, body) == (200, BODY)
    assert fields["content-length"] == str(len(BODY))
    assert fields["content-type"] == "image/png"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields["date"])
    assert "server" not in fields


async def test_the_door_gets_the_request_as_it_came(start_front: StartFront) -> None:
    """Raw target, lower-case host without port, joined fields, the peer's address."""
    seen: list[EdgeRequest] = []

    async def keep(request: EdgeRequest, event: RequestEvent) -> Answer:
        seen.append(request)
        return Answer(status=200, headers=())

    front = await start_front(keep)
    fields = b"HOST: IMG.Example.com:8080\r\nAccept: a\r\nAccept: b\r\nConnection: close\r\n\r\n"
    raw = b"GET /a%20b.png?w=1&sig=x HTTP/1.1\r\n" + fields
    await front.ask(raw)
    (request,) = seen
    assert request.target.raw == "/a%20b.png?w=1&sig=x"
    assert request.host == "img.example.com"
    assert request.headers["accept"] == "a, b"
    assert str(request.client) == "127.0.0.1"


async def test_head_has_the_fields_of_get_and_no_body(start_front: StartFront) -> None:
    """RFC 9110 §9.3.2; the door's own length counts where it gives one."""

    async def head(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), length=4711)

    status, fields, body = await (await start_front(head)).get("/cat.png", method="HEAD")
    assert (status, fields["content-length"], body) == (200, "4711", b"")
    status, fields, body = await (await start_front(ok)).get("/cat.png", method="HEAD")
    assert (status, fields["content-length"], body) == (200, str(len(BODY)), b"")


async def test_a_304_has_no_body_and_no_length(start_front: StartFront) -> None:
    """RFC 9110 §15.4.5."""

    async def same(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=304, headers=(("ETag", '"a"'),))

    status, fields, body = await (await start_front(same)).get("/cat.png")
    assert (status, fields["etag"], body) == (304, '"a"', b"")
    assert "content-length" not in fields
    assert "transfer-encoding" not in fields


async def test_requests_follow_each_other_on_one_connection(start_front: StartFront) -> None:
    """Keep-alive, also for requests that are sent before the answers came."""
    front = await start_front(ok)
    one = b"GET /cat.png HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /cat.png HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await front.ask(one * 40 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 41
    assert answer.count(b"Connection: close") == 1


async def test_http_1_0_is_kept_alive_only_when_it_asks(start_front: StartFront) -> None:
    """RFC 9112 §9.3."""
    front = await start_front(ok)
    assert b"Connection: close" in await front.ask(b"GET /a HTTP/1.0\r\nHost: a\r\n\r\n")
    both = await front.ask(
        b"GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /a HTTP/1.0\r\nHost: a\r\n\r\n"
    )
    assert b"Connection: keep-alive" in both
    assert both.count(b"HTTP/1.1 200 OK") == 2


async def pieces() -> AsyncGenerator[bytes, None]:
    for _ in range(50):
        yield b"x" * 10_000


async def test_a_stream_of_known_length_arrives_whole(start_front: StartFront) -> None:
    """Content-Length, back-pressure included."""

    async def stream(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), stream=pieces(), length=500_000)

    front = await start_front(stream)
    status, fields, body = await front.get("/a")
    assert (status, fields["content-length"], len(body)) == (200, "500000", 500_000)
    assert front.events[0].bytes_out == 500_000


async def test_a_stream_of_unknown_length_is_chunked(start_front: StartFront) -> None:
    """And ends with the last chunk."""

    async def stream(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), stream=pieces())

    _, fields, body = await (await start_front(stream)).get("/a")
    assert fields["transfer-encoding"] == "chunked"
    assert "content-length" not in fields
    assert body == (b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 50 + b"0\r\n\r\n"


@pytest.mark.parametrize("length", [None, 100])
async def test_a_stream_that_fails_never_ends_cleanly(start_front: StartFront, length: int | None) -> None:
    """The client must notice: the connection is reset."""

    async def fail() -> AsyncGenerator[bytes, None]:
        yield b"half"
        raise OriginUnreachable("The origin broke off.")

    async def stream(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), stream=fail(), length=length)

    front = await start_front(stream)
    reader, writer = await front.connect()
    writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), WAIT)
    writer.close()
    await until(lambda: bool(front.events))
    assert front.events[0].aborted
    assert front.events[0].reason == "origin_unreachable"


@pytest.mark.parametrize("length", [3, 5])
async def test_a_stream_that_does_not_keep_its_length_is_cut(start_front: StartFront, length: int) -> None:
    """Neither more nor fewer bytes than announced may look like a whole answer."""

    async def four() -> AsyncGenerator[bytes, None]:
        yield b"four"

    async def stream(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), stream=four(), length=length)

    front = await start_front(stream)
    with pytest.raises(ConnectionResetError):
        await front.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert front.events[0].aborted


async def test_a_client_that_goes_closes_the_stream(start_front: StartFront) -> None:
    """The origin's connection and the memory behind a stream are let go at once."""
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.set()

    async def stream(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(), stream=endless())

    front = await start_front(stream)
    reader, writer = await front.connect()
    writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(reader.readexactly(100), WAIT)
    writer.transport.abort()
    await asyncio.wait_for(closed.wait(), WAIT)
    await until(lambda: bool(front.events))
    assert front.events[0].aborted


async def test_a_client_that_goes_before_its_answer_is_told_as_499(start_front: StartFront) -> None:
    """Its work is cancelled."""
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def hang(request: EdgeRequest, event: RequestEvent) -> Answer:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    front = await start_front(hang)
    _, writer = await front.connect()
    writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(started.wait(), WAIT)
    writer.close()
    await asyncio.wait_for(cancelled.wait(), WAIT)
    await until(lambda: bool(front.events))
    assert (front.events[0].status, front.events[0].aborted) == (499, True)


async def test_a_refusal_is_a_problem_and_is_told(start_front: StartFront) -> None:
    """Status, reason and the public detail; the private one goes to the log only."""

    async def refuse(request: EdgeRequest, event: RequestEvent) -> Answer:
        raise SignatureInvalid("The signature does not match.", private="key k9")

    front = await start_front(refuse)
    status, fields, body = await front.get("/a?sig=verysecret")
    assert (status, fields["countermark-reason"]) == (403, "signature_invalid")
    assert json.loads(body)["instance"] == front.events[0].id
    assert b"k9" not in body
    event = front.events[0]
    assert (event.status, event.reason, event.path) == (403, "signature_invalid", "/a")
    assert "k9" in event.detail


async def test_an_unforeseen_error_is_500_and_leaks_nothing(
    start_front: StartFront, capsys: pytest.CaptureFixture[str]
) -> None:
    """The traceback stands in the log under the same id."""

    async def fail(request: EdgeRequest, event: RequestEvent) -> Answer:
        raise KeyError("inner secret")

    front = await start_front(fail)
    status, _, body = await front.get("/a")
    assert status == 500
    assert b"secret" not in body
    assert b"KeyError" not in body
    printed = capsys.readouterr()
    assert "inner secret" in printed.out + printed.err
    assert front.events[0].id in printed.out + printed.err


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\0b", "\u20ac"])
async def test_a_field_that_would_split_the_answer_is_never_sent(start_front: StartFront, value: str) -> None:
    """Response splitting, from whatever the door put into a field."""

    async def split(request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=200, headers=(("ETag", value),), body=BODY)

    status, fields, _ = await (await start_front(split)).get("/a")
    assert status == 500
    assert "set-cookie" not in fields


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "PROPFIND"])
async def test_other_methods_are_405_and_told_what_is_allowed(start_front: StartFront, method: str) -> None:
    """RFC 9110 §15.5.6."""
    status, fields, _ = await (await start_front(ok)).get("/a", method=method)
    assert (status, fields["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_options_says_what_is_allowed(start_front: StartFront) -> None:
    """204 without a body."""
    status, fields, body = await (await start_front(ok)).get("/a", method="OPTIONS")
    assert (status, fields["allow"], body) == (204, "GET, HEAD, OPTIONS", b"")
    assert "content-length" not in fields


async def test_a_request_id_is_believed_from_a_trusted_peer_only(start_front: StartFront) -> None:
    """Anybody else could write another request's id into our log."""

    async def expired(request: EdgeRequest, event: RequestEvent) -> Answer:
        raise Expired("Too late.")

    wanted = "from-the-proxy_0001"
    stranger = await start_front(expired)
    _, _, body = await stranger.get("/a", f"X-Request-ID: {wanted}")
    assert json.loads(body)["instance"] != wanted
    proxy = await start_front(expired, trusted=("127.0.0.0/8",))
    _, _, body = await proxy.get("/a", f"X-Request-ID: {wanted}")
    assert json.loads(body)["instance"] == wanted
    for bad in ("short", "x" * 65, "with space in it", 'quote"quote'):
        _, _, body = await proxy.get("/a", f"X-Request-ID: {bad}")
        assert json.loads(body)["instance"] != bad


async def test_health_is_answered_before_any_site(start_front: StartFront) -> None:
    """Exact paths, GET and HEAD only, and no line in the log."""
    front = await start_front(ok, reasons=("origin away",))
    assert (await front.get("/healthz"))[0] == 200
    status, _, body = await front.get("/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "reasons": ["origin away"]})
    assert (await front.get("/readyz", method="HEAD"))[2] == b""
    assert (await front.get("/readyz", method="DELETE"))[0] == 405
    assert front.events == []
    assert (await front.get("/readyz/x"))[2] == BODY


async def test_ready_is_200_without_reasons(start_front: StartFront) -> None:
    """What a load balancer waits for."""
    status, _, body = await (await start_front(ok)).get("/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)


async def test_a_draining_worker_tells_its_clients_to_close(start_front: StartFront) -> None:
    """The answer is whole, and the client opens its next connection elsewhere."""
    front = await start_front(ok)
    front.guard.draining = True
    answer = await front.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"200 OK" in answer
    assert b"Connection: close" in answer
    assert answer.endswith(BODY)
