"""A single use is spent by a picture that was sent to its end, and by nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from countermark.core.answer import Answer
from countermark.core.errors import OriginUnreachable
from countermark.delivery.once import until_sent


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
