"""The admin API under /v1/: authenticate, decode, do, answer. Every refusal is a problem document."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from countermark.control.actor import Actor
from countermark.control.plane import ControlPlane
from countermark.core.answer import Answer
from countermark.core.errors import (
    ConfigurationInvalid,
    Conflict,
    CountermarkError,
    OrderInvalid,
    OrderTooLarge,
    ResourceUnknown,
)
from countermark.web import problems
from countermark.web.admin_gate import Gatekeeper
from countermark.web.admin_routes import ROUTES, Call, Route, Steering
from countermark.web.openapi import document

MAX_BODY = 2**20
MAX_IMPORT = 4 * 2**30
READ_SECONDS = 30.0

NDJSON = "application/x-ndjson"

_OFF = (
    "The admin API is off. Name a file of tokens as admin.tokens in the settings; "
    "`countermark admin token new` makes an entry of it."
)
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_Query = TypeVar("_Query", bound=Struct)

log = structlog.get_logger("countermark.admin")


class Gateway(Steering, Protocol):
    """What the admin API asks of the supervisor. The control plane changes with a reload."""

    @property
    def control(self) -> ControlPlane: ...


def routes(gateway: Gateway) -> list[web.RouteDef]:
    """Every route of the table, and the document that describes them."""
    gate = Gatekeeper(time.time)
    described = msgspec.json.encode(document())

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json", headers=_NO_STORE)

    async def unknown(request: web.Request) -> web.StreamResponse:
        return _problem(
            ResourceUnknown(f"There is no {request.method} of this path; /v1/openapi.json describes what there is.")
        )

    served = [web.route(route.method, route.path, _endpoint(route, gateway, gate)) for route in ROUTES]
    return [web.get("/v1/openapi.json", openapi), *served, web.route("*", "/v1/{rest:.*}", unknown)]


def _endpoint(
    route: Route, gateway: Gateway, gate: Gatekeeper
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        plane = gateway.control
        try:
            with plane.in_use():
                return await _serve(route, request, gateway, plane, gate)
        except ConfigurationInvalid as error:
            return _problem(Conflict(error.detail))
        except CountermarkError as error:
            return _problem(error)
        except Exception:
            # The traceback goes to the log under the id that the caller sees, and nowhere else.
            instance = secrets.token_hex(8)
            log.exception("admin request failed", id=instance)
            return _response(problems.answer_internal(instance=instance))

    return endpoint


async def _serve(
    route: Route, request: web.Request, gateway: Gateway, plane: ControlPlane, gate: Gatekeeper
) -> web.StreamResponse:
    configuration = gateway.configuration
    if not configuration.settings.admin.tokens:
        raise ResourceUnknown(_OFF)
    token = gate.admit(
        request.headers.get("Authorization", ""),
        peer=request.remote or "",
        tokens=configuration.admin_tokens,
        roles=route.roles,
        note=plane.note,
    )
    call = Call(
        gateway=gateway,
        plane=plane,
        actor=Actor(name=token.name, sites=token.sites),
        names=dict(request.match_info),
        query=_query(request, route.query) if route.query is not None else None,
        body=await _body(request, route.body) if route.body is not None else None,
        lines=_chunks(request),
    )
    if route.stream is not None:
        return await _stream(request, route.stream(call))
    assert route.handle is not None
    answer = msgspec.json.encode(await route.handle(call))
    return web.Response(status=route.status, body=answer, content_type="application/json", headers=_NO_STORE)


def _query(request: web.Request, kind: type[_Query]) -> _Query:
    values = dict(request.query)
    if len(values) != len(request.query):
        raise OrderInvalid("The query holds the same parameter twice.")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise OrderInvalid(f"The query is not right: {error}.") from None


async def _body(request: web.Request, kind: type[Struct]) -> Any:
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > MAX_BODY:
            raise OrderTooLarge(f"The body has more than {MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise OrderInvalid(f"The body is not right: {error}.") from None


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes, bounded in size and in the time that it may stand still."""
    taken = 0
    while True:
        try:
            async with asyncio.timeout(READ_SECONDS):
                chunk = await request.content.readany()
        except TimeoutError:
            raise OrderInvalid(f"Nothing of the body came for {READ_SECONDS:g} seconds.") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise OrderInvalid("The body ended early.", private=str(error)) from None
        if not chunk:
            return
        taken += len(chunk)
        if taken > MAX_IMPORT:
            raise OrderTooLarge(f"The body has more than {MAX_IMPORT} bytes.")
        yield chunk


async def _stream(request: web.Request, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    """Lines as they are made; the first is waited for, so that what fails at once is a problem."""
    first = await anext(chunks, b"")
    response = web.StreamResponse(headers={"Content-Type": NDJSON, **_NO_STORE})
    await response.prepare(request)
    try:
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
    except CountermarkError as error:
        # Cut in the middle of a chunk: no client takes half a list for the whole one.
        log.error("a stream ended early", path=request.path, reason=error.reason, private=error.private)
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _problem(error: CountermarkError) -> web.Response:
    """Whoever asks here is an operator, or has got no further than to be refused: the private part helps him."""
    if error.private:
        error.detail = f"{error.detail} ({error.private})"
    return _response(problems.answer_error(error, instance=secrets.token_hex(8), denials={}))


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)
