"""Background tasks end, whether they hear it or not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from countermark.backends.ending import end


async def test_who_does_not_hear_it_is_told_again() -> None:
    """Beside one who hears it, one who fails instead, one who ended long ago, and one who never was."""
    begun = asyncio.Event()

    async def deaf() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("told so")

    async def brief() -> None:
        return

    tasks = [asyncio.create_task(work) for work in (deaf(), failing(), asyncio.Event().wait(), brief())]
    await begun.wait()
    await end(*tasks, None)
    assert [task.cancelled() for task in tasks] == [True, False, True, False]
    await end()
