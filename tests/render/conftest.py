"""One engine for all tests of the room."""

from __future__ import annotations

import pytest

from countermark.render.engine import Engine
from tests.pictures import logo


@pytest.fixture(scope="session")
def engine() -> Engine:
    """With one watermark, `brand`."""
    return Engine({"brand": logo()})
