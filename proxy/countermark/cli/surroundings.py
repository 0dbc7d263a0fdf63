"""What `countermark doctor` looks at around the gateway: origins, store, cache folder, ports."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from countermark.backends.origins.table import open_origin
from countermark.backends.stores.redis.store import RedisStore
from countermark.backends.stores.table import open_store
from countermark.cli.finding import Finding
from countermark.core.errors import ConfigurationInvalid, CountermarkError, OriginalMissing, OriginDenied
from countermark.settings.model import OriginSettings, Settings
from countermark.settings.units import format_size

_NO_SUCH_KEY = "countermark-doctor/no-such-object"


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings of the surroundings that the settings name."""
    yield from asyncio.run(_origins(settings))
    yield asyncio.run(_store(settings.store))
    yield _disk(settings.cache.disk, settings.cache.disk_size)
    yield _port("listen", settings.server.listen)
    yield _port("admin", settings.server.admin)


async def _origins(settings: Settings) -> list[Finding]:
    return list(await asyncio.gather(*(_origin(name, origin) for name, origin in settings.origins.items())))


async def _origin(name: str, settings: OriginSettings) -> Finding:
    """Ask for an object that is not there: an origin that says so is reachable and accepts our credentials."""
    check = f"origin {name}"
    try:
        origin = await open_origin(name, settings)
        try:
            await origin.stat(_NO_SUCH_KEY)
        finally:
            await origin.close()
    except OriginalMissing:
        return Finding(check=check, state="ok", message="reachable")
    except OriginDenied as error:
        advice = "give it credentials that may read; S3 also answers so when listing the bucket is not allowed"
        return Finding(check=check, state="warn", message=error.detail, advice=advice)
    except CountermarkError as error:
        message = f"{error.detail} {error.private}".strip()
        return Finding(check=check, state="fail", message=message, advice=f"look at origins.{name}")
    return Finding(check=check, state="ok", message="reachable; it answers for any name")


async def _store(url: str) -> Finding:
    """Never tells the URL, in which a password may stand."""
    check = "store"
    try:
        store = await open_store(url)
    except ConfigurationInvalid as invalid:
        return Finding(check=check, state="fail", message=invalid.faults[0].message, advice="look at store")
    try:
        trouble, evicts = await store.look(), store.evicts if isinstance(store, RedisStore) else ""
    finally:
        await store.close()
    if trouble:
        return Finding(check=check, state="fail", message=trouble, advice="look at store, and at what it names")
    if evicts:
        message = f"the server evicts keys ({evicts}): revocations may be forgotten, and single-use URLs are refused"
        return Finding(check=check, state="warn", message=message, advice="set its maxmemory-policy to noeviction")
    return Finding(check=check, state="ok", message="answers")


def _disk(folder: str, size: int) -> Finding:
    if not folder:
        return Finding(check="disk cache", state="ok", message="off")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"countermark")
            file.flush()
    except OSError as error:
        message = f"{folder}: {error.strerror}"
        return Finding(check="disk cache", state="fail", message=message, advice="make it writable for this user")
    free = shutil.disk_usage(folder).free
    if free < size:
        message = f"{folder}: {format_size(free // 2**20 * 2**20)} free, and cache.disk_size is {format_size(size)}"
        return Finding(check="disk cache", state="warn", message=message, advice="lower cache.disk_size or make room")
    return Finding(check="disk cache", state="ok", message=f"{folder} is writable")


def _port(name: str, address: str) -> Finding:
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return _taken(f"port {name}", address, error)
    return Finding(check=f"port {name}", state="ok", message=f"{address} is free")


def _taken(check: str, address: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        advice = f"is the gateway running already? Else choose another server.{check.removeprefix('port ')}"
        return Finding(check=check, state="warn", message=f"{address} is in use", advice=advice)
    message = f"{address}: {error.strerror or os.strerror(error.errno or 0)}"
    return Finding(check=check, state="fail", message=message, advice="choose an address that this user may bind")
