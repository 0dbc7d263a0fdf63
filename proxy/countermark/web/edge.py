"""The edge: a parsed message becomes an EdgeRequest, the door answers it, the answer goes out, the event is told.

Everything here runs for every request, the cached ones too, so it is written to be cheap: one header dictionary, one
header block, one write.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter, time
from typing import Protocol

import msgspec
import structlog
from aiohttp import HttpVersion11
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage

from countermark.core.answer import Answer
from countermark.core.errors import BodyNotAllowed, CountermarkError, Malformed, MethodNotAllowed, TargetMalformed
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.core.target import Target
from countermark.ports import Telemetry
from countermark.settings.model import ForwardAuthSettings
from countermark.web import problems, wire
from countermark.web.connection import MAX_LINE, BodyPresent, Connection, HeaderTooLarge, Incoming
from countermark.web.forwarded import Asked, Forwarded
from countermark.web.host import read_host
from countermark.web.peers import Peers

# nginx's number for a client that went before its answer; it is told to the log and metrics, never sent.
CLIENT_GONE = 499

_HEALTH_PATHS = ("/healthz", "/readyz")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_JSON = (("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
_OPTIONS = Answer(status=204, headers=(("Allow", problems.ALLOWED_METHODS), ("Cache-Control", "no-store")))

log = structlog.get_logger("countermark.web")


class Door(Protocol):
    """The front door of the data plane."""

    def read_target(self, host: str, raw: str) -> Target:
        """The target of a request to this host, by the rules of its site. Raises TargetMalformed."""
        ...

    async def answer(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Raises CountermarkError."""
        ...

    async def verify(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        """Whether another proxy may answer the request. Raises CountermarkError."""
        ...

    def at_hand(self, request: EdgeRequest, event: RequestEvent) -> Answer | None:
        """The answer where it needs no waiting, else None. Raises CountermarkError."""
        ...

    async def ready(self) -> list[str]:
        """Reasons why it is not ready; empty when it is."""
        ...

    async def close(self) -> None: ...


Ready = Callable[[], Awaitable[list[str]]]


class Edge:
    """Serves the messages of all connections of a worker. `ready` answers /readyz: reasons, none when ready."""

    def __init__(
        self,
        door: Door,
        *,
        ready: Ready,
        telemetry: Telemetry,
        peers: Peers,
        denials: problems.Denials,
        forward_auth: ForwardAuthSettings,
    ) -> None:
        self._door = door
        self._ready = ready
        self._telemetry = telemetry
        self._peers = peers
        self._denials = denials
        self._forwarded = Forwarded(forward_auth)
        self._dates = wire.Dates()
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._host = lru_cache(1024)(read_host)

    async def serve(self, connection: Connection, incoming: Incoming) -> None:
        """Answer one message on its connection."""
        started = perf_counter()
        if isinstance(incoming, RawRequestMessage) and incoming.path in _HEALTH_PATHS:
            await self._say(connection, await self._health(incoming), incoming.method, close=incoming.should_close)
            return
        event = self._event(connection)
        try:
            if isinstance(incoming, RawRequestMessage):
                await self._answer(connection, incoming, event)
            else:
                await self._refuse(connection, incoming, event)
        finally:
            event.duration = perf_counter() - started
            self._telemetry.tell(event)

    async def _answer(self, connection: Connection, message: RawRequestMessage, event: RequestEvent) -> None:
        try:
            answer = await self._ask(connection, message, event)
        except CountermarkError as error:
            answer = self._problem(error, event)
            if self._forwarded.asks(message.path):
                answer = self._forwarded.refusal(answer)
        except Exception:
            # The traceback goes to the log under the id that the client sees, and nowhere else.
            log.exception("request failed", id=event.id)
            answer = _internal(event)
        except BaseException:  # cancelled, because the client went
            event.status, event.aborted = CLIENT_GONE, True
            raise
        await self._send(connection, message, answer, event)

    def serve_at_once(self, connection: Connection, incoming: Incoming) -> bool:
        """Answer a message whose answer lies in memory; False, with nothing done, for every other one."""
        if not isinstance(incoming, RawRequestMessage) or incoming.path in _HEALTH_PATHS:
            return False
        if self._forwarded.asks(incoming.path):
            return False
        started = perf_counter()
        event = self._event(connection)
        try:
            answer = self._door.at_hand(self._request(connection, incoming, event), event)
        except CountermarkError:
            return False
        if answer is None:
            return False
        framing = self._framing(connection, incoming, answer)
        head = wire.header_block(answer, framing, self._dates.line(event.received))
        if not framing.keep:
            connection.finish()
        body = answer.body if framing.body else b""
        connection.write((head, body))
        event.status, event.bytes_out = answer.status, len(body)
        event.duration = perf_counter() - started
        self._telemetry.tell(event)
        return True

    def _event(self, connection: Connection) -> RequestEvent:
        number = next(self._numbers)
        return RequestEvent(id=f"{self._prefix}-{number:06x}", received=time(), client=connection.peer)

    async def _ask(self, connection: Connection, message: RawRequestMessage, event: RequestEvent) -> Answer:
        # Before OPTIONS, whose 204 would be a yes to whoever asks.
        if self._forwarded.asks(message.path):
            question = self._request(connection, message, event, forwarded=True)
            return self._forwarded.approval(await self._door.verify(question, event))
        if message.method == "OPTIONS":
            event.method = message.method
            return _OPTIONS
        return await self._door.answer(self._request(connection, message, event), event)

    def _request(
        self, connection: Connection, message: RawRequestMessage, event: RequestEvent, *, forwarded: bool = False
    ) -> EdgeRequest:
        """The message, or the request that it asks about. Raises Malformed, and MethodNotAllowed for what is neither GET
        nor HEAD."""
        headers = _headers(message)
        method, host, target = message.method, headers.get("host", ""), message.path
        client = self._peers.client(
            connection.peer,
            connection.announcer,
            headers,
            method=method,
            host=host,
            target=target,
            now=event.received,
        )
        if client.trusted and "x-request-id" in headers and _REQUEST_ID.fullmatch(headers["x-request-id"]):
            event.id = headers["x-request-id"]
        event.client, event.place = client.text, client.place
        event.method, event.path = method, _printable(target.partition("?")[0])
        if forwarded:
            asked = self._forwarded.original(Asked(method, host, target), headers, client)
            method, host, target = asked.method, asked.host, asked.target
            event.path = _printable(target.partition("?")[0])
        event.host = host = self._host(host)
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"Only {problems.ALLOWED_METHODS} are understood here.")
        event.method = method
        return EdgeRequest(
            id=event.id,
            method=method,
            target=self._door.read_target(host, target),
            host=host,
            client=client.address,
            headers=headers,
            received=event.received,
            country=client.place.country,
            region=client.place.region,
        )

    async def _send(
        self, connection: Connection, message: RawRequestMessage, answer: Answer, event: RequestEvent
    ) -> None:
        started = perf_counter()
        framing = self._framing(connection, message, answer)
        try:
            head = wire.header_block(answer, framing, self._dates.line(event.received))
        except ValueError:
            log.exception("unsendable header", id=event.id)
            if answer.stream is not None:
                await answer.stream.aclose()
            await self._send(connection, message, _internal(event), event)
            return
        if not framing.keep:
            connection.finish()
        event.status = answer.status
        try:
            event.bytes_out = await wire.send(connection, head, answer, framing)
        except wire.StreamCut as cut:
            _tell_cut(cut, event)
        except ConnectionError:
            event.aborted = True
            connection.finish()
        except BaseException:  # cancelled, because the client went
            event.aborted = True
            raise
        finally:
            event.stages["send"] = perf_counter() - started

    def _framing(self, connection: Connection, message: RawRequestMessage, answer: Answer) -> wire.Framing:
        keep = connection.keeps and not message.should_close
        return wire.frame(answer, method=message.method, old=message.version < HttpVersion11, keep=keep)

    async def _refuse(self, connection: Connection, incoming: Incoming, event: RequestEvent) -> None:
        """What the parser or the guard does not read. Nothing of the offending line is echoed or logged."""
        event.client = self._peers.peer(connection.peer).text
        answer = self._fault(incoming, event)
        event.status = answer.status
        await self._say(connection, answer, "GET", close=True)

    async def _say(self, connection: Connection, answer: Answer, method: str, *, close: bool) -> None:
        framing = wire.frame(answer, method=method, old=False, keep=connection.keeps and not close)
        if not framing.keep:
            connection.finish()
        head = wire.header_block(answer, framing, self._dates.line(time()))
        await wire.send(connection, head, answer, framing)

    def _fault(self, incoming: Incoming, event: RequestEvent) -> Answer:
        if isinstance(incoming, BodyPresent):
            return self._problem(BodyNotAllowed("A request may have no body and no Transfer-Encoding here."), event)
        if isinstance(incoming, LineTooLong) and incoming.args[1] == MAX_LINE:
            return self._problem(TargetMalformed("The request target is too long.", rule="too_long"), event)
        if isinstance(incoming, LineTooLong | HeaderTooLarge) or "Too many headers" in str(incoming):
            event.reason = problems.HEADER_TOO_LARGE
            return problems.answer_header_too_large(instance=event.id)
        return self._problem(Malformed("The request is not well-formed HTTP/1.1."), event)

    async def _health(self, message: RawRequestMessage) -> Answer:
        if message.method not in ("GET", "HEAD"):
            error = MethodNotAllowed("Health is asked with GET or HEAD.")
            return problems.answer_error(error, instance="", denials={})
        if message.path == "/healthz":
            return Answer(status=200, headers=_JSON, body=b'{"alive":true}')
        reasons = await self._ready()
        body = msgspec.json.encode({"ready": not reasons, "reasons": reasons})
        return Answer(status=503 if reasons else 200, headers=_JSON, body=body)

    def _problem(self, error: CountermarkError, event: RequestEvent) -> Answer:
        event.reason = error.reason
        event.detail = f"{error.detail} ({error.private})" if error.private else error.detail
        return problems.answer_error(error, instance=event.id, denials=self._denials, path=event.path)


def _internal(event: RequestEvent) -> Answer:
    event.reason = CountermarkError.reason
    return problems.answer_internal(instance=event.id)


def _tell_cut(cut: wire.StreamCut, event: RequestEvent) -> None:
    cause = cut.__cause__
    event.bytes_out, event.aborted = cut.sent, True
    if isinstance(cause, CountermarkError):
        event.reason, event.detail = cause.reason, cause.private or cause.detail
        return
    event.reason = CountermarkError.reason
    log.error("answer cut short", id=event.id, exc_info=cause)


def _headers(message: RawRequestMessage) -> dict[str, str]:
    headers: dict[str, str] = {}
    for field, value in message.headers.items():
        name = field.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _printable(path: str) -> str:
    """For the log: what is not ASCII, which no accepted path is, is escaped."""
    return path if path.isascii() else path.encode("ascii", "backslashreplace").decode()
