"""Questions at /verify, over real sockets: whose they may be, and which request they mean."""

from __future__ import annotations

import asyncio

import pytest

from countermark.core.answer import Answer
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.settings.model import ForwardAuthSettings
from tests.web.conftest import Front, StartFront

LOOPBACK = ("127.0.0.0/8",)
URI = ForwardAuthSettings(target="X-Original-URI")
ALL = ForwardAuthSettings(target="X-Forwarded-Uri", host="X-Forwarded-Host", method="X-Forwarded-Method")
NGINX = ForwardAuthSettings(target="X-Original-URI", only_401_403=True)
SIGNED = "X-Original-URI: /cat.png?w=1&sig=x"


async def picture(request: EdgeRequest, event: RequestEvent) -> Answer:
    return Answer(status=200, headers=(), body=b"picture")


async def ask(front: Front, *fields: str, method: str = "GET") -> tuple[int, dict[str, str]]:
    status, headers, _ = await front.get("/verify", *fields, method=method)
    return status, headers


async def test_a_question_means_the_request_of_its_header(start_front: StartFront) -> None:
    """Target from the header, host and method of the question itself, the client behind the proxy."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    status, fields = await ask(front, SIGNED, "X-Forwarded-For: 203.0.113.9", "X-Country: se")
    assert (status, fields["seen"]) == (204, "GET img.example.com /cat.png?w=1&sig=x 203.0.113.9 SE")


async def test_host_and_method_come_from_headers_where_told_so(start_front: StartFront) -> None:
    """As Caddy and Traefik write them."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=ALL)
    told = ("X-Forwarded-Uri: /a.png?sig=x", "X-Forwarded-Host: CDN.example.com:443", "X-Forwarded-Method: HEAD")
    status, fields = await ask(front, *told)
    assert (status, fields["seen"]) == (204, "HEAD cdn.example.com /a.png?sig=x 127.0.0.1 ")


async def test_each_question_is_one_event_with_the_original_path(start_front: StartFront) -> None:
    """Also a refused one; the log shows what was asked for and never the query."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    await ask(front, SIGNED)
    await ask(front, "X-Original-URI: /dog.png?w=2")
    told = [(event.path, event.status, event.reason) for event in front.events]
    assert told == [("/cat.png", 204, ""), ("/dog.png", 401, "signature_missing")]


async def test_a_stranger_gets_no_answer_to_a_question(start_front: StartFront) -> None:
    """He could claim any address, host or country; a good URL does not help him."""
    front = await start_front(picture, trusted=("10.0.0.0/8",), forward_auth=URI)
    status, fields = await ask(front, SIGNED)
    assert (status, fields["countermark-reason"]) == (403, "peer_untrusted")


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-Original-URI:",),
        (SIGNED, "X-Original-URI: /dog.png?sig=y"),
        ("X-Original-URI: http://img.example.com/cat.png?sig=x",),
        ("X-Original-URI: //img.example.com/cat.png?sig=x",),
        ("X-Original-URI: /../cat.png?sig=x",),
        ("X-Forwarded-Uri: /cat.png?sig=x",),
        ("X-Original-URI: /caf\xc3\xa9.png?sig=x",),
    ],
)
async def test_a_question_without_one_clean_target_is_malformed(
    start_front: StartFront, fields: tuple[str, ...]
) -> None:
    """A viewer who sends the header too (two values), another spelling of the target, another proxy's header."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    status, headers = await ask(front, *fields)
    assert (status, headers["countermark-reason"]) == (400, "target_malformed")


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "get", "GET, GET"])
async def test_a_question_about_another_method_is_refused(start_front: StartFront, method: str) -> None:
    """A yes to OPTIONS would be a yes to every path."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=ALL)
    status, _ = await ask(
        front, "X-Forwarded-Uri: /a.png?sig=x", "X-Forwarded-Host: a", f"X-Forwarded-Method: {method}"
    )
    assert status == 405


async def test_a_question_with_another_method_is_refused(start_front: StartFront) -> None:
    """Envoy asks with the viewer's own method: OPTIONS gets no 204 here."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    assert (await ask(front, SIGNED, method="OPTIONS"))[0] == 405
    assert (await ask(front, SIGNED, method="HEAD"))[0] == 204


async def test_an_absent_host_or_method_is_not_made_up(start_front: StartFront) -> None:
    """Where the settings name a header, only that header counts."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=ALL)
    assert (await ask(front, "X-Forwarded-Uri: /a.png?sig=x", "X-Forwarded-Method: GET"))[0] == 400
    assert (await ask(front, "X-Forwarded-Uri: /a.png?sig=x", "X-Forwarded-Host: a"))[0] == 405


async def test_nginx_gets_statuses_that_it_understands(start_front: StartFront) -> None:
    """401 and 403 as they are, every other refusal as 403 with its own status beside it."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=NGINX)
    status, fields = await ask(front, "X-Original-URI: /late.png?sig=x")
    assert (status, fields["countermark-status"], fields["countermark-reason"]) == (403, "410", "expired")
    status, fields = await ask(front, "X-Original-URI: /cat.png")
    assert (status, fields["countermark-reason"]) == (401, "signature_missing")
    assert "countermark-status" not in fields


async def test_other_proxies_get_the_statuses_of_pictures(start_front: StartFront) -> None:
    """They pass them on to the viewer."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    status, fields = await ask(front, "X-Original-URI: /late.png?sig=x")
    assert (status, fields["countermark-reason"]) == (410, "expired")


async def test_envoy_gets_a_yes_that_it_understands(start_front: StartFront) -> None:
    """200 with no body, where the settings say so."""
    settings = ForwardAuthSettings(target="X-Original-URI", only_200=True)
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=settings)
    status, fields, body = await front.get("/verify", SIGNED)
    assert (status, fields["content-length"], body) == (200, "0", b"")
    assert fields["seen"].startswith("GET img.example.com /cat.png")


async def test_the_query_of_a_question_says_nothing(start_front: StartFront) -> None:
    """Caddy leaves the viewer's query there; only the header counts, and no other path is a question."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    assert (await front.get("/verify?sig=x", "X-Original-URI: /a.png"))[0] == 401
    assert (await front.get("/verify?w=1", SIGNED))[0] == 204
    for target in ("/verifyx", "/verify/a?b", "/Verify"):
        assert (await front.get(target, SIGNED))[2] == b"picture"


async def test_a_question_with_a_body_is_refused(start_front: StartFront) -> None:
    """As everywhere."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    raw = f"GET /verify HTTP/1.1\r\nHost: a\r\n{SIGNED}\r\nContent-Length: 1\r\n\r\nx"
    assert (await front.ask(raw.encode())).startswith(b"HTTP/1.1 400 ")


async def test_a_connection_carries_questions_and_pictures(start_front: StartFront) -> None:
    """Keep-alive: no state of a question stays behind."""
    front = await start_front(picture, trusted=LOOPBACK, forward_auth=URI)
    question = f"GET /verify HTTP/1.1\r\nHost: a\r\n{SIGNED}\r\n\r\n"
    last = "GET /cat.png HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    said = await asyncio.wait_for(front.ask((question * 2 + last).encode()), 10)
    assert (said.count(b"204 No Content"), said.count(b"200 OK")) == (2, 1)


async def test_without_the_setting_there_is_no_verify(start_front: StartFront) -> None:
    """The path is one like any other."""
    front = await start_front(picture, trusted=LOOPBACK)
    assert (await front.get("/verify", SIGNED))[2] == b"picture"
