"""What supervisor and workers say to each other, over one socket pair each. Its end means that the other is dead."""

from __future__ import annotations

import asyncio
import socket
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from countermark.configuration import Configuration
from countermark.telemetry.tally import Snapshot

# What a worker may take beyond its drain time-out to close its origins, caches and render children.
CLOSE_SECONDS = 5.0

# A tally of thousands of series fits, and some large watermarks; a line beyond it ends the connection.
_LINE_LIMIT = 64 * 2**20


class Orders(Struct, frozen=True, kw_only=True, tag="orders"):
    """The first message to a worker: the configuration as the supervisor read it. `instance` is a secret that all
    workers share, `place` the worker's own on the roster."""

    configuration: Configuration
    instance: str
    place: int


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """Please report now."""


class Ready(Struct, frozen=True, kw_only=True, tag="ready"):
    """The worker accepts connections."""


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """The worker's tally since its start, and why it is not ready (empty: it is)."""

    snapshot: Snapshot
    reasons: tuple[str, ...] = ()


ToWorker = Orders | Ask
FromWorker = Ready | Report

Received = TypeVar("Received")


class Channel(Generic[Received]):
    """One end of the socket pair; it receives messages of one kind, one JSON line each."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.json.Decoder[Received]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder

    def send(self, message: Struct) -> None:
        """Queue a message. One for an end that has gone is lost."""
        if not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(message) + b"\n")

    async def receive(self) -> Received | None:
        """The next message, None when the other end has gone."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        return self._decoder.decode(line) if line.endswith(b"\n") else None

    async def close(self) -> None:
        """Send what is queued, as far as somebody takes it, and close."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


async def supervisor_end(sock: socket.socket) -> Channel[FromWorker]:
    reader, writer = await asyncio.open_unix_connection(sock=sock, limit=_LINE_LIMIT)
    return Channel(reader, writer, msgspec.json.Decoder(FromWorker))


async def worker_end(sock: socket.socket) -> Channel[ToWorker]:
    reader, writer = await asyncio.open_unix_connection(sock=sock, limit=_LINE_LIMIT)
    return Channel(reader, writer, msgspec.json.Decoder(ToWorker))
