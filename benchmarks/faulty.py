"""A TCP proxy that fails on command: `python -m benchmarks.faulty PORT` prints its own port, and reads modes from its input.

pass      what comes is handed on
cut       connections are reset, and new ones too
hold      nothing is handed on, and nothing closed
slow      every piece is handed on 0.2 s late
garbage   the server's answers are replaced by noise
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Literal, Self

from benchmarks import processes

Mode = Literal["pass", "cut", "hold", "slow", "garbage"]

DELAY = 0.2
_NOISE = b"\x00noise\r\n"
_PIECE = 65_536


class FaultyProxy:
    """A running proxy in a process of its own, in front of a port of this machine."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faulty", str(port)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def become(self, mode: Mode) -> None:
        """Returns once the mode holds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{mode}\n".encode())
        self._process.stdin.flush()
        self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        processes.end(self._process)


class _Proxy:
    def __init__(self, port: int) -> None:
        self._port = port
        self._mode = "pass"
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    def become(self, mode: str) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "cut":
            for writer in self._open:
                writer.transport.abort()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, to_upstream}
        self._open |= ends
        try:
            await asyncio.gather(
                self._hand_on(reader, to_upstream, answers=False), self._hand_on(upstream, writer, answers=True)
            )
        except OSError:
            return
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while piece := await reader.read(_PIECE):
            while self._mode == "hold":
                await self._changed.wait()
            if self._mode == "slow" and answers:
                await asyncio.sleep(DELAY)
            writer.write(_NOISE if self._mode == "garbage" and answers else piece)
            await writer.drain()
        raise ConnectionError


async def _serve(port: int) -> None:
    proxy = _Proxy(port)
    server = await asyncio.start_server(proxy.meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        proxy.become(line.strip())
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
