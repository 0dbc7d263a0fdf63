"""Relative paths in a settings file are meant from the folder that the file stands in."""

from __future__ import annotations

import posixpath
from urllib.parse import quote

from msgspec.structs import replace

from countermark.settings.model import OriginSettings, Settings
from countermark.settings.store_url import SQLITE


def anchored(settings: Settings, folder: str) -> Settings:
    """The settings with every relative path (keys, store, cache, watermarks, file: origins) joined to `folder`."""
    cache = settings.cache
    return replace(
        settings,
        keys=posixpath.join(folder, settings.keys),
        store=_store(settings.store, folder),
        cache=replace(cache, disk=posixpath.join(folder, cache.disk)) if cache.disk else cache,
        origins={name: _origin(origin, folder) for name, origin in settings.origins.items()},
        watermarks={
            name: replace(mark, image=posixpath.join(folder, mark.image)) for name, mark in settings.watermarks.items()
        },
    )


def _store(url: str, folder: str) -> str:
    if not url.startswith(SQLITE):
        return url
    return f"{SQLITE}{posixpath.join(folder, url.removeprefix(SQLITE))}"


def _origin(origin: OriginSettings, folder: str) -> OriginSettings:
    scheme, _, path = origin.url.partition(":")
    if scheme != "file" or path.startswith("/"):
        return origin
    return replace(origin, url=f"file:{posixpath.join(quote(folder), path)}")
