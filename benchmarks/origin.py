"""A private HTTP origin that keeps its own count: `python -m benchmarks.origin FOLDER LOG` prints its port.

Each request for an object becomes one line of LOG, written before the answer starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from aiohttp import web

from benchmarks import processes


@dataclass(frozen=True, slots=True)
class HttpOrigin:
    """A running origin: its base URL and its log."""

    url: str
    log: Path

    def requests(self, key: str, method: str = "GET") -> int:
        """How often an object was asked for."""
        return self.log.read_text().splitlines().count(f"{method} /{key}")


@contextlib.contextmanager
def running(folder: Path, log: Path) -> Iterator[HttpOrigin]:
    """An origin in a process of its own, ended on leaving."""
    log.touch()
    command = [sys.executable, "-m", "benchmarks.origin", str(folder), str(log)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield HttpOrigin(f"http://127.0.0.1:{port}/", log)
    finally:
        processes.end(process)


def application(root: Path, lines: TextIO) -> web.Application:
    """The origin itself: regular files below `root`, with validators and ranges."""

    async def answer(request: web.Request) -> web.StreamResponse:
        lines.write(f"{request.method} {request.path}\n")
        place = (root / request.path.lstrip("/")).resolve()
        if not place.is_relative_to(root) or not place.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(place)

    app = web.Application()
    app.router.add_route("*", "/{key:.*}", answer)
    return app


async def serve(root: Path, lines: TextIO) -> None:
    """Serve until SIGTERM, having printed the port."""
    runner = web.AppRunner(application(root, lines), access_log=None, handle_signals=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main(folder: str, log: str) -> None:
    """Run until SIGTERM."""
    with Path(log).open("a", buffering=1) as lines, contextlib.suppress(web.GracefulExit, KeyboardInterrupt):
        asyncio.run(serve(Path(folder).resolve(), lines))


if __name__ == "__main__":
    main(*sys.argv[1:3])
