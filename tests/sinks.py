"""Who is told in tests: a mail server and a web server that remember."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiohttp import web
from msgspec import Struct


class Inbox(Struct, frozen=True):
    """A mail server's address, and what arrives."""

    server: str
    mails: asyncio.Queue[EmailMessage]


@asynccontextmanager
async def mail_server(*, refusal: str = "") -> AsyncIterator[Inbox]:
    """SMTP without TLS (RFC 5321); `refusal` is its answer to every recipient, such as "550 nobody here"."""
    mails: asyncio.Queue[EmailMessage] = asyncio.Queue()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink ESMTP\r\n")
        while line := await reader.readline():
            word = line.split(None, 1)[0].upper().rstrip() if line.strip() else b""
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                mail = message_from_bytes(text[:-3].replace(b"\r\n..", b"\r\n."), policy=policy.default)
                assert isinstance(mail, EmailMessage)
                mails.put_nowait(mail)
                writer.write(b"250 taken\r\n")
            elif word == b"RCPT" and refusal:
                writer.write(f"{refusal}\r\n".encode())
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 sink\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield Inbox(f"{host}:{port}", mails)


class Asked(Struct, frozen=True):
    """A request as it arrived; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Hook(Struct, frozen=True):
    """A web server's address, and what it is asked."""

    url: str
    asked: asyncio.Queue[Asked]


Answer = Callable[[Asked], web.Response]


@asynccontextmanager
async def web_sink(answer: Answer = lambda _: web.Response()) -> AsyncIterator[Hook]:
    """A web server that answers every request in one way."""
    asked: asyncio.Queue[Asked] = asyncio.Queue()

    async def take(request: web.Request) -> web.StreamResponse:
        arrived = Asked(request.method, request.raw_path, request.headers.copy(), await request.read())
        asked.put_nowait(arrived)
        return answer(arrived)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Hook(f"http://127.0.0.1:{runner.addresses[0][1]}", asked)
    finally:
        await runner.cleanup()
