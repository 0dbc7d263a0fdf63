"""The demo's private origin: a web server in its own process that serves nobody without its bearer token.

Run as `python -m countermark.demo.origin FOLDER`; the token comes in COUNTERMARK_DEMO_ORIGIN_TOKEN. It listens on a
port of the kernel's choice, prints that port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import sys
from collections import Counter
from pathlib import Path

from aiohttp import web

TOKEN_VARIABLE = "COUNTERMARK_DEMO_ORIGIN_TOKEN"  # noqa: S105  a variable's name


def application(folder: Path, token: str) -> web.Application:
    """Files of `folder`, and at /_requests how often each was asked for."""
    asked: Counter[str] = Counter()
    expected = f"Bearer {token}".encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        presented = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(presented, expected):
            return web.Response(status=401, text="This origin is private.\n")
        name = request.match_info["name"]
        if name == "_requests":
            return web.json_response(asked)
        file = folder / name
        if request.method == "GET":
            asked[name] += 1
        if not file.is_file() or file.parent != folder:
            return web.Response(status=404)
        return web.FileResponse(file)

    app = web.Application()
    app.router.add_get("/{name}", answer)
    return app


async def serve(folder: Path, token: str) -> None:
    """Serve until standard input ends."""
    runner = web.AppRunner(application(folder, token), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), os.environ[TOKEN_VARIABLE]))
