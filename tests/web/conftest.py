"""A worker's front in the test's own process: real sockets, real parser, a door that the test writes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from countermark.core.answer import Answer
from countermark.core.errors import Expired, SignatureMissing
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.keys.keyring import Keyring
from countermark.settings.model import ForwardAuthSettings, ServerSettings
from countermark.signing.dialect import Denial
from countermark.web.acceptor import Acceptor
from countermark.web.edge import Edge
from countermark.web.guard import Guard, Limits
from countermark.web.hops import announcers, hops_of
from countermark.web.peers import Peers

WAIT = 10.0
NOT_ASKED = ForwardAuthSettings()

Handle = Callable[[EdgeRequest, RequestEvent], Awaitable[Answer]]


class Front:
    """What a test holds: the port, the guard and the events that were told."""

    def __init__(self, port: int, guard: Guard, events: list[RequestEvent]) -> None:
        self.port = port
        self.guard = guard
        self.events = events

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, raw: bytes) -> bytes:
        """Send bytes and return everything until the server closes."""
        reader, writer = await self.connect()
        writer.write(raw)
        try:
            return await asyncio.wait_for(reader.read(), WAIT)
        finally:
            writer.close()

    async def get(self, target: str, *fields: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """One request with Connection: close; status, fields in lower case, body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: img.example.com", "Connection: close", *fields, "", ""]
        head, _, body = (await self.ask("\r\n".join(lines).encode())).partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        return int(first.split(" ")[1]), headers, body


class FunctionDoor:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def read_target(self, host: str, raw: str) -> Target:
        return parse_target(raw)

    async def answer(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        return await self._handle(request, event)

    async def verify(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        if "sig" not in {pair.name for pair in request.target.pairs}:
            raise SignatureMissing("The URL is not signed.")
        if request.target.path == "/late.png":
            raise Expired("The URL has expired.")
        facts = (request.method, request.host, request.target.raw, str(request.client), request.country)
        return Answer(status=204, headers=(("Seen", " ".join(facts)),))

    def at_hand(self, request: EdgeRequest, event: RequestEvent) -> Answer | None:
        return None

    async def ready(self) -> list[str]:
        return []

    async def close(self) -> None:
        return


class Heard(list[RequestEvent]):
    def tell(self, event: RequestEvent) -> None:
        self.append(event)


StartFront = Callable[..., Awaitable[Front]]


@pytest.fixture
async def start_front() -> AsyncGenerator[StartFront, None]:
    """A factory: start_front(handle, trusted=..., server=..., denials=..., reasons=..., forward_auth=...,
    header_timeout=...)."""
    acceptors: list[Acceptor] = []
    guards: list[Guard] = []
    sweepers: list[asyncio.Task[None]] = []

    async def start(
        handle: Handle,
        *,
        trusted: tuple[str, ...] = (),
        server: ServerSettings | None = None,
        denials: dict[str, dict[str, Denial]] | None = None,
        reasons: tuple[str, ...] = (),
        forward_auth: ForwardAuthSettings = NOT_ASKED,
        **limits: Any,
    ) -> Front:
        server = server or ServerSettings(trusted_proxies=trusted, country_header="X-Country")
        bounds = {
            "header_timeout": 60.0,
            "keepalive_timeout": 60.0,
            "write_timeout": 60.0,
            "connections": 1000,
            "connections_per_peer": 1000,
        }
        loop = asyncio.get_running_loop()
        guard = Guard(Limits(**{**bounds, **limits}), loop.time)
        events = Heard()

        async def ready() -> list[str]:
            return list(reasons)

        edge = Edge(
            FunctionDoor(handle),
            ready=ready,
            telemetry=events,
            peers=Peers(hops_of(server, authorities={}, keyring=Keyring([]), locate=None)),
            denials=denials or {},
            forward_auth=forward_auth,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        acceptor = Acceptor(listener, guard, edge, announcers(server.proxy_protocol))
        acceptor.start()

        async def sweep() -> None:
            while True:
                await asyncio.sleep(0.01)
                guard.sweep()

        sweeper = loop.create_task(sweep())
        acceptors.append(acceptor)
        guards.append(guard)
        sweepers.append(sweeper)
        return Front(port, guard, events)

    yield start
    for acceptor in acceptors:
        await acceptor.stop()
    for guard in guards:
        guard.cut_all()
    for sweeper in sweepers:
        sweeper.cancel()
    await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.005)
