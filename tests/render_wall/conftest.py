"""Pools over the engines of the tests, closed by whoever opened them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from countermark.imaging.operations import Limits, Operations, Recipe
from countermark.ports import Rendered
from countermark.render.pool import RenderPool
from countermark.settings.model import RenderSettings

ENGINES = "tests.render_wall.engines"

StartPool = Callable[..., Awaitable[RenderPool]]


@pytest.fixture
async def start_pool() -> AsyncIterator[StartPool]:
    """A function that starts a pool: settings by name, `prepare` by its name in the engines."""
    pools: list[RenderPool] = []

    async def start(
        prepare: str = "prepare", watermarks: dict[str, bytes] | None = None, **settings: object
    ) -> RenderPool:
        pool = await RenderPool.start(
            RenderSettings(**settings),  # type: ignore[arg-type]
            watermarks or {},
            f"{ENGINES}:Engine",
            f"{ENGINES}:{prepare}",
        )
        pools.append(pool)
        return pool

    yield start
    for pool in pools:
        await pool.close()


def recipe(*, seconds: float = 20.0, memory: int = 128 * 2**20) -> Recipe:
    """A small picture within these limits."""
    return Recipe(operations=Operations(width=60), limits=Limits(seconds=seconds, memory=memory))


async def render(pool: RenderPool, original: bytes, *, seconds: float = 20.0) -> Rendered:
    """One original through the wall."""
    parcel = pool.parcel(limit=64 * 2**20)
    try:
        parcel.write(original)
        return await pool.render(parcel, recipe(seconds=seconds))
    finally:
        parcel.close()


async def say(pool: RenderPool, order: str, *, seconds: float = 20.0) -> str:
    """What an engine answers to an order, as text."""
    return (await render(pool, order.encode(), seconds=seconds)).body.decode()
