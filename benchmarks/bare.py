"""The thing that stands still: a pipeline called bare, on threads of one process, with no gateway around it.

`python -m benchmarks.bare PIPELINE` reads one job a line from standard input and writes one line for each:
{"files": [[FILE, WIDTH], ...], "clients": 4, "threads": 2} becomes {"seconds": wall, "each": [...], "length": bytes}.
A job's latency counts from when one of `clients` clients asked for it, as the gateway's does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from benchmarks import processes

QUALITY = 80

Render = Callable[[str, int], bytes]


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
    """The process with the threads. `pipeline` is libvips (and nothing else), or engine (what a render child runs)."""

    def __init__(self, pipeline: Literal["libvips", "engine"] = "libvips") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", pipeline],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "VIPS_CONCURRENCY": "1", "OPENBLAS_NUM_THREADS": "1"},
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
            raise RuntimeError("the bare process ended")
        said = json.loads(line)
        used = processes.cpu_seconds([self.process.pid]) - cpu
        return BareRun(said["seconds"], tuple(said["each"]), used, memory.peak, said["length"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        processes.end(self.process)


def libvips(file: str, width: int) -> bytes:
    """What `w=WIDTH&q=80` asks for, by libvips from the first byte to the last."""
    import pyvips

    data = Path(file).read_bytes()
    picture = pyvips.Image.jpegload_buffer(data, access="sequential", fail_on="truncated")
    shrink = next((block for block in (8, 4, 2) if picture.width >= 1.5 * block * width), 1)
    if shrink > 1:
        picture = pyvips.Image.jpegload_buffer(data, access="sequential", fail_on="truncated", shrink=shrink)
    resized = picture.thumbnail_image(width, height=10_000_000, size="down")
    body: bytes = resized.jpegsave_buffer(Q=QUALITY, keep="none")
    return body


def engine() -> Render:
    """What the gateway's child does for `w=WIDTH&q=80`, without the wall around it."""
    from countermark.imaging.operations import Limits, Operations, Recipe
    from countermark.render.engine import Engine
    from countermark.render.gate import prepare_libvips

    prepare_libvips()
    made = Engine({})

    def render(file: str, width: int) -> bytes:
        recipe = Recipe(operations=Operations(width=width, quality=QUALITY), limits=Limits())
        return made.render(Path(file).read_bytes(), recipe).body

    return render


def main() -> None:
    """Serve jobs until standard input ends."""
    render = engine() if sys.argv[1] == "engine" else libvips
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(_job(render, job["files"], job["clients"], job["threads"])), flush=True)


def _job(render: Render, files: list[tuple[str, int]], clients: int, threads: int) -> dict[str, object]:
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
