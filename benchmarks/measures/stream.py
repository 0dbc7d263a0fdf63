"""(e) An original of 1 GB passed through untouched: how far the gateway's memory grows."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from benchmarks import gateway, load, origin, processes
from benchmarks.figures import Figure, Goal
from benchmarks.result import Result
from benchmarks.setting import Setting

SIZE = 10**9
JPEG_START = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
PAUSE = 2.0


def measure(setting: Setting) -> Result:
    """From disk and over HTTP; to a reader that takes all at once and to one that stops for two seconds."""
    size = SIZE // 5 if setting.quick else SIZE
    place = setting.pictures.folder / "whole.jpg"
    _make(place, size)
    samples: dict[str, list[float]] = {}
    notes = [
        f"a sparse file of {size / 1e9:g} GB; a small stream has warmed the path up before",
        "growth: peak RSS during the stream less RSS before it, summed over all processes",
    ]
    with (
        origin.running(setting.pictures.folder, setting.place("origin") / "log") as remote,
        gateway.start(setting.place("gateway"), setting.pictures.folder, workers=1, remote=remote.url) as gate,
    ):
        for site in ("bench", "remote"):
            _stream(gate, gate.target("large.jpg", site=site), 0.0, setting.pictures.file("large").stat().st_size)
            for pause in (0.0, PAUSE):
                label = f"{'disk' if site == 'bench' else 'http'}, {'reader stops for 2 s' if pause else 'fast reader'}"
                setting.say(f"  {label}")
                for _ in range(setting.rounds(3, 1)):
                    grown, rate = _growth(gate, gate.target("whole.jpg", site=site), pause, size)
                    samples.setdefault(label, []).append(grown)
                notes.append(f"{label}: {rate / 1e6:.0f} MB/s in the last round")
    figures = tuple(
        Figure(label=f"{label}: growth", unit="MB", samples=tuple(grown), goal=Goal("at most", 32), worst=True)
        for label, grown in samples.items()
    )
    return Result(
        name="stream", title=f"pass-through of a {size / 1e9:g} GB original", figures=figures, notes=tuple(notes)
    )


def _make(place: Path, size: int) -> None:
    with place.open("wb") as output:
        output.write(JPEG_START)
        output.truncate(size)


def _growth(gate: gateway.Gateway, target: str, pause: float, size: int) -> tuple[float, float]:
    pids = gate.pids
    processes.forget_peak(pids)
    before = {pid: processes.peak_rss(pid) for pid in pids}
    seconds = _stream(gate, target, pause, size)
    grown = sum(max(0, processes.peak_rss(pid) - before[pid]) for pid in pids)
    return grown / 1e6, size / seconds


def _stream(gate: gateway.Gateway, target: str, pause: float, size: int) -> float:
    sample = load.run(partial(_read, gate.address, target, pause))
    if sample.status != 200 or sample.length != size:
        raise RuntimeError(f"{sample.length} of {size} bytes came with status {sample.status}\n{gate.tail()}")
    return sample.seconds


async def _read(address: load.Address, target: str, pause: float) -> load.Sample:
    conversation = await load.connect(address)
    try:
        async with asyncio.timeout(120):
            answer = conversation.ask(target, time.perf_counter())
            if pause:
                await asyncio.sleep(0.05)
                conversation.hold()
                await asyncio.sleep(pause)
                conversation.release()
            return await answer
    finally:
        conversation.close()
