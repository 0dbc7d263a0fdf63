"""What the figures were measured on, and how noisy it was."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path

from benchmarks.figures import median, percentile

BLOCK = bytes(256 * 1024)


def spin() -> float:
    """Seconds that a fixed piece of arithmetic takes; on a quiet machine always the same."""
    start = time.perf_counter()
    for _ in range(40):
        hashlib.sha256(BLOCK).digest()
    return time.perf_counter() - start


def noise() -> float:
    """(p90 - p10) / median over 40 spins: 0 is a machine of one's own."""
    spins = [spin() for _ in range(40)]
    return (percentile(spins, 0.9) - percentile(spins, 0.1)) / median(spins)


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """The processor's name as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def facts() -> dict[str, object]:
    """Facts for the head of every result."""
    return {
        "cores": cores(),
        "processor": processor(),
        "kernel": platform.release(),
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "noise": round(noise(), 3),
    }
