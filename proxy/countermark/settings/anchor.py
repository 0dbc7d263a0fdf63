"""Relative paths in a settings file are meant from the folder that the file stands in."""

from __future__ import annotations

import posixpath
from urllib.parse import quote

from msgspec.structs import replace

from countermark.settings.model import HopSettings, OriginSettings, Settings
from countermark.settings.store_url import anchored_store


def anchored(settings: Settings, folder: str) -> Settings:
    """The settings with every relative path in them joined to `folder`."""
    cache, admin = settings.cache, settings.admin
    geo, server = settings.geo, settings.server
    return replace(
        settings,
        server=replace(server, hops={name: _hop(hop, folder) for name, hop in server.hops.items()}),
        geo=replace(geo, database=posixpath.join(folder, geo.database)) if geo.database else geo,
        keys=posixpath.join(folder, settings.keys),
        keys_history=posixpath.join(folder, settings.keys_history) if settings.keys_history else "",
        kms=_kms(settings.kms, folder),
        clients=posixpath.join(folder, settings.clients) if settings.clients else "",
        store=anchored_store(settings.store, folder),
        admin=replace(admin, tokens=posixpath.join(folder, admin.tokens)) if admin.tokens else admin,
        policies=posixpath.join(folder, settings.policies) if settings.policies else "",
        revocation=replace(settings.revocation, folder=posixpath.join(folder, _revocations(settings))),
        cache=replace(cache, disk=posixpath.join(folder, cache.disk)) if cache.disk else cache,
        origins={name: _origin(origin, folder) for name, origin in settings.origins.items()},
        watermarks={
            name: replace(mark, image=posixpath.join(folder, mark.image)) for name, mark in settings.watermarks.items()
        },
    )


def _kms(kms: str, folder: str) -> str:
    scheme, _, place = kms.partition(":")
    return f"local:{posixpath.join(folder, place)}" if scheme == "local" else kms


def _revocations(settings: Settings) -> str:
    """The folder of the local copy: what one machine's store knows lies beside it."""
    scheme, _, file = settings.store.partition(":")
    beside = posixpath.dirname(file) if scheme == "sqlite" else "./state"
    return settings.revocation.folder or posixpath.join(beside, "revocations")


def _hop(hop: HopSettings, folder: str) -> HopSettings:
    if not hop.client_authorities:
        return hop
    return replace(hop, client_authorities=posixpath.join(folder, hop.client_authorities))


def _origin(origin: OriginSettings, folder: str) -> OriginSettings:
    scheme, _, path = origin.url.partition(":")
    if scheme != "file" or path.startswith("/"):
        return origin
    return replace(origin, url=f"file:{posixpath.join(quote(folder), path)}")
