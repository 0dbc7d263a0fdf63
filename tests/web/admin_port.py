"""The real admin port over a control plane in memory, and a client for it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec.structs import replace

from countermark.configuration import Configuration
from countermark.control.plane import ControlPlane
from countermark.keys.keyfile import render
from countermark.rotation.file import Change
from countermark.rotation.turn import Turn
from countermark.settings.model import AdminSettings, RotationSettings, Settings
from countermark.settings.tokens import AdminToken, Role
from countermark.telemetry.tally import Snapshot
from countermark.web import admin
from countermark.web.admin_gate import hash_of
from countermark.web.admin_routes import WorkerFacts
from tests.control.world import KEY, World

TOKENS: dict[str, str] = {
    name: f"cmadm_{name.ljust(43, '0')}" for name in ("viewer", "issuer", "operator", "keys", "admin", "shop", "over")
}


def token(name: str, roles: tuple[Role, ...], **facts: Any) -> AdminToken:
    """The entry of a token of `TOKENS`."""
    return AdminToken(name=name, sha256=hash_of(TOKENS[name]), roles=roles, **facts)


ENTRIES = (
    token("viewer", ("viewer",)),
    token("issuer", ("issuer",)),
    token("operator", ("operator",)),
    token("keys", ("keys",)),
    token("admin", ("admin",)),
    token("shop", ("admin",), sites=("shop",)),
    token("over", ("admin",), expires=1),
)


def with_keys(folder: Path) -> Settings:
    """Settings of keys that follow one another; the keyring file holds k1."""
    (folder / "keys.yaml").write_text(render(KEY))
    return Settings(
        keys=str(folder / "keys.yaml"),
        keys_history=str(folder / "history.jsonl"),
        rotation={"native": RotationSettings()},
    )


class SmallSupervisor:
    """What the admin port sees of a supervisor."""

    def __init__(self, control: ControlPlane, tokens: Sequence[AdminToken], settings: Settings) -> None:
        self.control = control
        settings = replace(settings, admin=AdminSettings(tokens="tokens.yaml"))
        self.configuration = Configuration(
            settings=settings, keys=(), policies={}, clients="", watermarks={}, admin_tokens=tuple(tokens)
        )
        self.counted = Snapshot()
        self.faults: tuple[str, ...] = ()
        self.reloads: list[str] = []

    def turn_off(self) -> None:
        self.configuration = replace(self.configuration, settings=Settings(), admin_tokens=())

    async def snapshot(self) -> Snapshot:
        return self.counted

    async def reasons(self) -> list[str]:
        return ["the list of revocations may be 3 s old"]

    def workers(self) -> tuple[WorkerFacts, ...]:
        return (WorkerFacts(pid=42, state="ready"),)

    async def reload(self, *, actor: str) -> tuple[str, ...]:
        self.reloads.append(actor)
        return self.faults

    async def turn_keys(self, turn: Turn, *, actor: str) -> tuple[tuple[Change, ...], tuple[str, ...]]:
        changes = turn(self.configuration.settings)
        return changes, await self.reload(actor=actor) if changes else ()


NO_KEYS = Settings(keys="/no/such/file")


class Reply:
    """An answer, read to its end."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Port:
    """A client of the admin port; `world` and `supervisor` stand behind it."""

    def __init__(self, world: World, supervisor: SmallSupervisor, session: aiohttp.ClientSession) -> None:
        self.world = world
        self.supervisor = supervisor
        self._session = session

    async def ask(
        self, method: str, path: str, *, by: str = "admin", body: Any = None, raw: Any = None, authorization: str = ""
    ) -> Reply:
        """One request; `by` names a token, "" for none."""
        headers = {"Authorization": authorization or f"Bearer {TOKENS[by]}"} if by or authorization else {}
        data = raw if raw is not None else (json.dumps(body) if body is not None else None)
        async with self._session.request(method, path, data=data, headers=headers) as response:
            return Reply(response, await response.read())


@asynccontextmanager
async def admin_port(tokens: Sequence[AdminToken] = ENTRIES, *, settings: Settings = NO_KEYS) -> AsyncIterator[Port]:
    """The port, on loopback and an address of the kernel's choice."""
    world = World()
    supervisor = SmallSupervisor(world.plane, tokens, settings)
    listener = socket.create_server(("127.0.0.1", 0))
    host, number = listener.getsockname()
    runner = await admin.start(listener, supervisor)
    try:
        async with aiohttp.ClientSession(base_url=f"http://{host}:{number}") as session:
            yield Port(world, supervisor, session)
    finally:
        await runner.cleanup()
