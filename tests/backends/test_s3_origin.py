"""What only a bucket can do wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from countermark.backends.origins.s3 import open_s3
from countermark.core.errors import CountermarkError, OriginalMissing, OriginDenied, OriginTimeout, OriginUnreachable
from countermark.settings.model import OriginSettings
from tests.backends.stores import Bucket


def settings(endpoint: str, **changes: object) -> OriginSettings:
    defaults: dict[str, object] = {"access_key_id": "key", "secret_access_key": "secret"}
    return OriginSettings(url="s3://bucket", endpoint=endpoint, **(defaults | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def answering(answer: bytes, *, then_close: bool = True) -> AsyncIterator[str]:
    """The endpoint of a service that answers everything so."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if not then_close:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fetch(config: OriginSettings) -> bytes:
    origin = await open_s3("photos", config)
    async with origin.open("cat.jpg") as body:
        return b"".join([chunk async for chunk in body.chunks()])


HEAD = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 500\r\n\r\n'


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", OriginDenied),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", OriginDenied),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", OriginalMissing),
        (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", OriginUnreachable),
        (b"HTTP/1.1 200 OK\r\n\r\n", OriginUnreachable),
        (HEAD + b"half", OriginUnreachable),
        (b"no HTTP\r\n\r\n", OriginUnreachable),
        (b"", OriginUnreachable),
    ],
)
async def test_an_answer_becomes_its_error(answer: bytes, error: type[CountermarkError]) -> None:
    """Denied, missing, failing and cut are told apart, and the credentials are in none of them."""
    async with answering(answer) as endpoint:
        with pytest.raises(error) as raised:
            await fetch(settings(endpoint))
    assert "127.0.0.1" not in raised.value.detail
    assert "secret" not in raised.value.private


@pytest.mark.parametrize("answer", [b"", HEAD + b"half"])
async def test_a_service_that_stops_times_out(answer: bytes) -> None:
    """Before the header or amid the body."""
    async with answering(answer, then_close=False) as endpoint:
        with pytest.raises(OriginTimeout):
            await fetch(settings(endpoint, connect_timeout=0.1, read_timeout=0.2))


async def test_plain_http_needs_an_endpoint_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that slips in from the environment gets no signature over an open line."""
    async with answering(HEAD + bytes(500)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(OriginUnreachable):
            await fetch(settings(""))
        assert await fetch(settings(endpoint)) == bytes(500)


async def test_no_more_transfers_at_once_than_configured(bucket_port: int) -> None:
    """Who finds all places taken waits no longer than the connect timeout, and a place that is left is free."""
    bucket = Bucket(bucket_port, f"b{uuid.uuid4().hex}")
    bucket.put("cat.jpg", b"meow")
    origin = await open_s3("photos", replace(bucket.settings, connections=1, connect_timeout=0.2))
    async with origin.open("cat.jpg"):
        with pytest.raises(OriginTimeout):
            await origin.stat("cat.jpg")
    assert (await origin.stat("cat.jpg")).size == 4
