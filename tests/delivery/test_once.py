"""A single use is spent by a picture that was sent to its end, and by nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from countermark.core.answer import Answer
from countermark.core.errors import OriginUnreachable
from countermark.delivery.once import enter, until_sent
from countermark.ports import Entry, Ticket
from countermark.traffic.gcra import Limit


class Counted:
    def __init__(self) -> None:
        self.released = 0

    async def release(self) -> None:
        self.released += 1


async def test_a_whole_picture_spends_the_use() -> None:
    """Body and length are what they were."""
    use = Counted()
    answer = await until_sent(Answer(status=200, headers=(), body=b"x" * 600_000), use)
    assert answer.stream is not None
    assert (answer.length, b"".join([chunk async for chunk in answer.stream])) == (600_000, b"x" * 600_000)
    assert use.released == 0


@pytest.mark.parametrize("chunks", [0, 1])
async def test_a_transfer_that_ends_early_gives_it_back(chunks: int) -> None:
    """The client went before or amid the body."""
    use = Counted()
    answer = await until_sent(Answer(status=200, headers=(), body=b"x" * 600_000), use)
    assert answer.stream is not None
    for _ in range(chunks):
        await anext(answer.stream)
    await answer.stream.aclose()
    assert use.released == 1


async def test_a_stream_that_fails_gives_it_back() -> None:
    """The origin broke off."""

    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"half"
        raise OriginUnreachable("No.")

    use = Counted()
    answer = await until_sent(Answer(status=200, headers=(), stream=broken()), use)
    assert answer.stream is not None
    with pytest.raises(OriginUnreachable):
        _ = [chunk async for chunk in answer.stream]
    assert use.released == 1


async def test_what_is_no_picture_gives_it_back() -> None:
    """A conditional request that is answered with 304."""
    use = Counted()
    assert (await until_sent(Answer(status=304, headers=()), use)).status == 304
    assert use.released == 1


class SlowTurnstile:
    """Takes a use only when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go, self.use = asyncio.Event(), asyncio.Event(), Counted()

    def at_once(self, limits: tuple[Limit, ...], now: float) -> None:
        return None

    async def enter(self, limits: tuple[Limit, ...], ticket: Ticket | None, now: float) -> Entry:
        self.asked.set()
        await self.go.wait()
        return Entry(use=self.use)


async def test_who_goes_while_his_use_is_taken_gets_it_back() -> None:
    """The store answers when the client is gone already."""
    turnstile = SlowTurnstile()
    entering = asyncio.create_task(enter(turnstile, (), Ticket(id="t", issued=0, expires=None, attempt="a"), 0.0))
    await turnstile.asked.wait()
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    turnstile.go.set()
    async with asyncio.timeout(5):
        while not turnstile.use.released:
            await asyncio.sleep(0)
