"""Fixtures of the backends' tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from countermark.backends.origins.table import open_origin
from countermark.ports import Origin
from tests.backends.stores import Bucket, Store, bucket_service, folder, web_server


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
