"""Stores of originals that the conformance suite fills and reads: a folder, a web server, a bucket."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import boto3  # type: ignore[import-untyped]
from aiohttp import web

from countermark.settings.model import OriginSettings

LOOPBACK = ("127.0.0.1/32",)


class Store(Protocol):
    """What an origin reads from. `settings` leads to it."""

    settings: OriginSettings

    def put(self, key: str, body: bytes) -> None: ...


class Folder:
    def __init__(self, path: Path, settings: OriginSettings) -> None:
        self.settings = settings
        self._path = path

    def put(self, key: str, body: bytes) -> None:
        path = self._path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name("incoming").write_bytes(body)
        path.with_name("incoming").rename(path)


# Seconds to connect in: a machine that is busy with other tests may stand still for two of them.
PATIENCE = 20.0


class Bucket:
    def __init__(self, port: int, name: str) -> None:
        endpoint = f"http://127.0.0.1:{port}"
        self.settings = OriginSettings(
            url=f"s3://{name}/some/prefix?region=eu-central-1",
            endpoint=endpoint,
            access_key_id="key",
            secret_access_key="secret",
            connect_timeout=PATIENCE,
        )
        self._name = name
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="eu-central-1",
        )
        self._client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def put(self, key: str, body: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=f"some/prefix/{key}", Body=body)


def folder(path: Path) -> Folder:
    return Folder(path, OriginSettings(url=f"file://{path}"))


@asynccontextmanager
async def web_server(path: Path) -> AsyncIterator[Folder]:
    """A real web server before a folder."""

    async def answer(request: web.Request) -> web.StreamResponse:
        file = path / request.match_info["key"]
        if not file.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(file)

    app = web.Application()
    app.router.add_get("/base/{key:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        url = f"http://127.0.0.1:{port}/base"
        yield Folder(path, OriginSettings(url=url, allow_networks=LOOPBACK, connect_timeout=PATIENCE))
    finally:
        await runner.cleanup()


@contextmanager
def bucket_service() -> Iterator[int]:
    """The port of an S3 service in another process."""
    command = [sys.executable, str(Path(__file__).with_name("bucket_server.py"))]
    environment = os.environ | {"AWS_EC2_METADATA_DISABLED": "true"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        lines = (line.strip() for line in process.stdout)
        yield next(int(line) for line in lines if line.isdigit())
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
