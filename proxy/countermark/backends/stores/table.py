"""The kinds of stores by the scheme of their URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from countermark.backends.stores.sqlite.store import SqliteStore
from countermark.core.errors import ConfigurationInvalid, Fault


async def open_store(url: str, *, wall_clock: Callable[[], float] = time.time) -> SqliteStore:
    """The store of that URL, for the loop that opens it. Raises ConfigurationInvalid, which never tells the URL."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteStore(Path(rest), wall_clock=wall_clock)
    raise ConfigurationInvalid([Fault(path="store", message="should be sqlite:FILE")])
