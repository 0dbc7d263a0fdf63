"""The thing that stands still: libvips called bare, on threads of one process, with no gateway around it.

`python -m benchmarks.bare` reads one job a line from standard input and writes one line for each:
{"files": [[FILE, WIDTH], ...], "clients": 4, "threads": 2} becomes {"seconds": wall, "each": [...], "length": bytes}.
A job's latency counts from when one of `clients` clients asked for it, as the gateway's does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import processes

QUALITY = 80


@dataclass(frozen=True, slots=True)
class BareRun:
    """Wall seconds of all jobs together, latency of each, processor seconds, peak PSS and the last result's length."""

    seconds: float
    each: tuple[float, ...]
    cpu: float
    peak: int
    length: int

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return len(self.each) / self.seconds


class Bare:
    """The process with the threads. `vips_threads` is libvips' own concurrency within one picture."""

    def __init__(self, vips_threads: int = 1) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare"],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "VIPS_CONCURRENCY": str(vips_threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, files: Sequence[tuple[Path, int]], *, clients: int, threads: int, watch: bool = False) -> BareRun:
        """Render each file to its width, `clients` at a time, on so many threads. `watch` samples memory, which takes time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = {"files": [(str(file), width) for file, width in files], "clients": clients, "threads": threads}
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        cpu = processes.cpu_seconds([self.process.pid])
        with processes.MemoryWatch(self.process.pid, active=watch) as memory:
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the bare libvips process ended")
        said = json.loads(line)
        used = processes.cpu_seconds([self.process.pid]) - cpu
        return BareRun(said["seconds"], tuple(said["each"]), used, memory.peak, said["length"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        processes.end(self.process)


def render(file: str, width: int) -> bytes:
    """What the gateway's child does for `w=WIDTH&q=80`, and nothing else."""
    import pyvips

    data = Path(file).read_bytes()
    picture = pyvips.Image.jpegload_buffer(data, access="sequential", fail_on="truncated")
    shrink = next((block for block in (8, 4, 2) if picture.width >= 1.5 * block * width), 1)
    if shrink > 1:
        picture = pyvips.Image.jpegload_buffer(data, access="sequential", fail_on="truncated", shrink=shrink)
    resized = picture.thumbnail_image(width, height=10_000_000, size="down")
    body: bytes = resized.jpegsave_buffer(Q=QUALITY, keep="none")
    return body


def main() -> None:
    """Serve jobs until standard input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(_job(job["files"], job["clients"], job["threads"])), flush=True)


def _job(files: list[tuple[str, int]], clients: int, threads: int) -> dict[str, object]:
    queue = iter(files)  # shared by the clients; next() of a list's iterator is atomic
    each: list[float] = []
    lengths: list[int] = []
    with ThreadPoolExecutor(threads) as renderers, ThreadPoolExecutor(clients) as askers:

        def client() -> None:
            for file, width in queue:
                asked = time.perf_counter()
                lengths.append(len(renderers.submit(render, file, width).result()))
                each.append(time.perf_counter() - asked)

        start = time.perf_counter()
        for future in [askers.submit(client) for _ in range(clients)]:
            future.result()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "each": each, "length": lengths[-1]}


if __name__ == "__main__":
    main()
