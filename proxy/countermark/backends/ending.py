"""The end of background tasks."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.1


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel what runs and wait until it has ended; what it raises is dropped."""
    running = {task for task in tasks if task is not None}
    while running:
        for task in running:
            task.cancel()
        # Whoever did not hear it is told again: libraries use `asyncio.wait_for`, which on Python 3.11 may swallow a
        # cancellation (gh-86296).
        ended, running = await asyncio.wait(running, timeout=_AGAIN_SECONDS)
        await asyncio.gather(*ended, return_exceptions=True)
