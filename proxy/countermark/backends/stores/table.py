"""The kinds of stores by the scheme of their URL."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from countermark.backends.stores.redis.store import RedisStore
from countermark.backends.stores.sqlite.store import SqliteStore
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.store_url import SQLITE, RedisUrl, read_redis_url, store_fault


async def open_store(url: str, *, wall_clock: Callable[[], float] = time.time) -> SqliteStore | RedisStore:
    """The store of that URL, for the loop that opens it. Raises ConfigurationInvalid, which never tells the URL.

    A Redis that is away is no fault of the configuration: the store says so in `trouble` and goes on trying.
    """
    if fault := store_fault(url):
        raise ConfigurationInvalid([Fault(path="store", message=fault)])
    if url.startswith(SQLITE):
        return SqliteStore(Path(url.removeprefix(SQLITE)), wall_clock=wall_clock)
    address = read_redis_url(url)
    store = RedisStore(address, _cells(address), wall_clock=wall_clock)
    await store.start()
    return store


def _cells(url: RedisUrl) -> Path:
    """In memory where there is such a place; one file for each Redis and each user of this machine.

    No password goes into its name, not even hashed: anybody on the machine can read it.
    """
    folder = Path("/dev/shm")  # noqa: S108 - the cells look who owns the file, and follow no link
    named = sha256(f"{os.geteuid()} {url.hosts} {url.name} {url.database}".encode()).hexdigest()[:24]
    return (folder if folder.is_dir() else Path(tempfile.gettempdir())) / f"countermark-{named}.rates"
