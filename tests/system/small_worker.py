"""A real worker with a small door behind it: the paths say how it behaves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from countermark.configuration import Configuration
from countermark.core.answer import Answer
from countermark.core.errors import ConfigurationInvalid, Fault, OriginUnreachable, SignatureInvalid
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.telemetry.events import EventSink
from countermark.web import worker

BODY = bytes(range(256)) * 80


class SmallDoor:
    """/ok answers, /hold waits until the test writes a file, /cut breaks off in the middle, the rest is refused."""

    def __init__(self, configuration: Configuration, folder: Path) -> None:
        self._settings = configuration.settings
        self._folder = folder

    def read_target(self, host: str, raw: str) -> Target:
        return parse_target(raw)

    async def answer(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        event.site, event.dialect, event.cache = "shop", "native", "hit"
        path = request.target.path
        if path == "/hold":
            (self._folder / f"held-{os.getpid()}-{request.id}").touch()
            while not (self._folder / "release").exists():
                await asyncio.sleep(0.01)
        if path == "/cut":
            return Answer(status=200, headers=(), stream=_cut())
        if path in ("/ok", "/hold"):
            told = (("Client", str(request.client)), ("Country", request.country))
            facts = (("Worker", str(os.getpid())), ("Quality", self._quality()))
            return Answer(status=200, headers=(*facts, *told), body=BODY)
        if path == "/large":
            return Answer(status=200, headers=(), body=b"x" * 50_000_000)
        raise SignatureInvalid("The signature does not match this request.")

    async def verify(self, request: EdgeRequest, event: RequestEvent) -> Answer:
        return Answer(status=204, headers=())

    def at_hand(self, request: EdgeRequest, event: RequestEvent) -> Answer | None:
        return None

    async def ready(self) -> list[str]:
        return ["told so"] if (self._folder / "unready").exists() else []

    async def close(self) -> None:
        while (self._folder / "clings").exists():
            await asyncio.sleep(0.01)

    def _quality(self) -> str:
        return str(self._settings.render.quality.get("jpeg"))


async def _cut() -> AsyncGenerator[bytes, None]:
    yield b"half a picture"
    raise OriginUnreachable("The origin ended its answer early.")


async def build(configuration: Configuration, *, instance: str, telemetry: EventSink) -> SmallDoor:
    folder = Path(os.environ["TEST_FOLDER"])
    if (folder / "no-build").exists():
        raise ConfigurationInvalid([Fault(path="keys", message="told so")])
    return SmallDoor(configuration, folder)


if __name__ == "__main__":
    listener, control, roster = (int(text) for text in sys.argv[1:])
    sys.exit(worker.run(listener=listener, control=control, roster=roster, build=build, denials={}))
