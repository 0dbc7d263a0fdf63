"""Waiting for a state of the machine that nobody announces, such as a descriptor that the kernel has closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Return as soon as the condition holds. Raises TimeoutError where it never does."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
