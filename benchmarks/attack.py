"""Slow clients in a process of their own: `python -m benchmarks.attack HOST PORT COUNT KIND TARGET`.

KIND `trickle` sends a request header byte by byte; `reader` asks for TARGET and takes nothing of it. Whoever is thrown
out comes back. They have twenty source addresses, so that limits for each peer do not stop them. It tells how
many connections were made and thrown out when its standard input closes, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.load import Address

SOURCES = 20
PACE = 0.5
RAMP = 2.0
RETURN = 10.0


@dataclass(slots=True)
class Tally:
    """What the slow clients met; complete when the attack is over."""

    counts: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def running(address: Address, count: int, kind: str, target: str, core: int) -> Iterator[Tally]:
    """An attack that lasts as long as the context."""
    command = ["nice", "-n", "10", "taskset", "-c", str(core), sys.executable, "-m", "benchmarks.attack"]
    command += [address[0], str(address[1]), str(count), kind, target]
    here = Path(__file__).parents[1]
    process = subprocess.Popen(command, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    tally = Tally()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # all have tried once
        yield tally
        process.stdin.close()
        tally.counts = json.loads(process.stdout.readline() or "{}")
    finally:
        processes.end(process)


async def _slow(address: Address, number: int, kind: str, target: str, counts: Counter[str]) -> None:
    source = (f"127.0.1.{1 + number % SOURCES}", 0)
    while True:
        try:
            await _one(address, source, kind, target, counts)
            counts["thrown out"] += 1
        except OSError:
            counts["refused or reset"] += 1
        await asyncio.sleep(RETURN)


async def _one(address: Address, source: Address, kind: str, target: str, counts: Counter[str]) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as line:
        line.setblocking(False)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.bind(source)
        await loop.sock_connect(line, address)
        counts["connected"] += 1
        if kind == "reader":
            await loop.sock_sendall(line, f"GET {target} HTTP/1.1\r\nHost: bench.local\r\n\r\n".encode())
            await _until_hung_up(line)
            return
        await loop.sock_sendall(line, b"GET / HTTP/1.1\r\nHost: bench.local\r\nX-Slow: ")
        while True:
            await asyncio.sleep(PACE)
            await loop.sock_sendall(line, b"a")


async def _until_hung_up(line: socket.socket) -> None:
    """Wait for the other side to give up, without reading. Raises OSError when it does so by reset."""
    while True:
        await asyncio.sleep(PACE)
        error = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "reset")


async def _main(address: Address, count: int, kind: str, target: str) -> None:
    counts: Counter[str] = Counter()
    tasks = [asyncio.create_task(_slow(address, number, kind, target, counts)) for number in range(count)]
    await asyncio.sleep(RAMP)
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    asyncio.run(_main((sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), sys.argv[4], sys.argv[5]))
