"""Fixtures of the backends' tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from countermark.backends.origins.table import open_origin
from countermark.ports import Origin
from tests.backends.softhsm import Token, new_token
from tests.backends.stores import Bucket, Store, bucket_service, folder, web_server


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Flights reach into the loop, so they are held to their promises on both."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name == "test_flights.py" else {"asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def bucket_port() -> Iterator[int]:
    with bucket_service() as port:
        yield port


@pytest.fixture(params=["file", "http", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    match request.param:
        case "file":
            yield folder(tmp_path)
        case "http":
            async with web_server(tmp_path) as served:
                yield served
        case _:
            yield Bucket(request.getfixturevalue("bucket_port"), f"b{uuid.uuid4().hex}")


@pytest.fixture
async def origin(store: Store) -> AsyncIterator[Origin]:
    opened = await open_origin("photos", store.settings)
    yield opened
    await opened.close()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    return new_token(tmp_path, monkeypatch)
