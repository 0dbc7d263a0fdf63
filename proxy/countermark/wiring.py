"""From settings to a running data plane, and to a control plane: the only file that knows every backend."""

from __future__ import annotations

import secrets
import time
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256

from countermark.backends.caches.disk import DiskCache, open_disk
from countermark.backends.caches.memory import MemoryCache
from countermark.backends.caches.none import NoCache
from countermark.backends.flights import SocketFlights
from countermark.backends.origins.table import open_origin
from countermark.backends.stores.table import open_store
from countermark.backends.uses import SqliteUses
from countermark.configuration import Configuration
from countermark.control.comparison import Bench
from countermark.control.fronts import fronts_of
from countermark.control.plane import ControlPlane
from countermark.delivery.door import FrontDoor
from countermark.delivery.obtain import Obtain, Source
from countermark.delivery.sites import Site, SiteTable
from countermark.imaging.operations import Limits, Mark
from countermark.imaging.plan import PlanRules
from countermark.imaging.presets import Preset, read_presets
from countermark.ports import Telemetry
from countermark.render.pool import PoolFacts, RenderPool
from countermark.settings.model import RenderSettings, Settings, SiteSettings, WatermarkSettings
from countermark.signing.realm import realm_of, waivers
from countermark.telemetry.events import EventSink


async def build(configuration: Configuration, *, instance: str, telemetry: EventSink) -> FrontDoor:
    """The front door of one worker. `instance` is the secret that all workers of this gateway share.

    Raises ConfigurationInvalid for what only a start can find: presets, backends, the sandbox.
    """
    settings, images = configuration.settings, configuration.watermarks
    presets = read_presets(settings.presets)
    async with AsyncExitStack() as closing:
        cold = _cold_cache(settings)
        closing.push_async_callback(cold.close)
        flights = SocketFlights(instance)
        closing.callback(flights.close)
        sources = {}
        for name, origin_settings in settings.origins.items():
            origin = await open_origin(name, origin_settings)
            closing.push_async_callback(origin.close)
            sources[name] = Source(
                origin=origin, max_bytes=origin_settings.max_bytes, total_timeout=origin_settings.total_timeout
            )
        uses = SqliteUses(settings.store.removeprefix("sqlite:"))
        closing.push_async_callback(uses.close)
        renderer = await RenderPool.start(settings.render, images)
        closing.push_async_callback(renderer.close)
        hot = MemoryCache(settings.cache.memory)
        _watch(telemetry, renderer, hot)
        obtain = Obtain(
            sources=sources,
            hot=hot,
            cold=cold,
            flights=flights,
            renderer=renderer,
            revalidate=settings.cache.revalidate,
            max_entry=settings.cache.max_entry,
        )
        closing.push_async_callback(obtain.close)
        sites = SiteTable([_site(site, settings, presets, images) for site in settings.sites])
        return FrontDoor(
            sites=sites,
            keyring=configuration.keyring,
            obtain=obtain,
            uses=uses,
            ready=partial(_reasons, renderer),
            close=closing.pop_all().aclose,
        )


async def build_control(configuration: Configuration, telemetry: Telemetry) -> ControlPlane:
    """The control plane of the supervisor. Raises ConfigurationInvalid for presets and stores that cannot be used."""
    settings = configuration.settings
    return ControlPlane(
        store=await open_store(settings.store),
        fronts=fronts_of(settings),
        keyring=configuration.keyring,
        bench=Bench(presets=read_presets(settings.presets)),
        telemetry=telemetry,
        max_life=int(settings.sessions.max_life),
        clock=time.time,
        random=secrets.token_bytes,
    )


def _reasons(renderer: RenderPool) -> list[str]:
    return [] if renderer.facts.children else ["no render child stands"]


def _cold_cache(settings: Settings) -> DiskCache | NoCache:
    if not settings.cache.disk:
        return NoCache()
    return open_disk(settings.cache.disk, settings.cache.disk_size)


def _site(site: SiteSettings, settings: Settings, presets: dict[str, Preset], images: dict[str, bytes]) -> Site:
    rules = PlanRules(
        presets=presets,
        presets_only=site.presets_only,
        mark=_mark(site.watermark, settings.watermarks[site.watermark]) if site.watermark else None,
        mark_digest=sha256(images[site.watermark]).hexdigest() if site.watermark else "",
        formats=settings.render.formats,
        qualities=settings.render.quality,
        limits=_limits(settings.render),
    )
    realm = realm_of(site)
    return Site(
        name=site.name,
        host=site.match.host,
        prefix=site.match.prefix,
        realm=realm,
        waivers=waivers(realm),
        origin=site.origin,
        rules=rules,
        max_age=int(site.max_age),
        shared=site.shared_caches,
    )


def _mark(name: str, watermark: WatermarkSettings) -> Mark:
    return Mark(
        name=name,
        opacity=watermark.opacity,
        position=watermark.position,
        scale=watermark.scale,
        margin=watermark.margin,
        tile=watermark.tile,
    )


def _limits(render: RenderSettings) -> Limits:
    return Limits(
        pixels=render.max_pixels,
        side=render.max_side,
        frames=render.max_frames,
        memory=render.max_memory,
        output_side=render.max_output_side,
        seconds=render.deadline,
    )


def _watch(telemetry: EventSink, renderer: RenderPool, hot: MemoryCache) -> None:
    """Expose what is kept elsewhere; the names stand in telemetry/metrics.py."""

    def fact(name: str) -> float:
        count: int = getattr(renderer.facts, name)
        return count

    def idle(facts: PoolFacts) -> float:
        return facts.children - facts.busy

    telemetry.watch("render_children", "busy", read=partial(fact, "busy"))
    telemetry.watch("render_children", "idle", read=lambda: idle(renderer.facts))
    telemetry.watch("render_queue", read=partial(fact, "waiting"))
    telemetry.watch("renders", "rendered", read=partial(fact, "rendered"))
    telemetry.watch("renders", "refused", read=partial(fact, "refused"))
    telemetry.watch("renders", "shed", read=partial(fact, "shed"))
    telemetry.watch("render_deaths", "crashed", read=partial(fact, "crashed"))
    telemetry.watch("render_deaths", "deadline", read=partial(fact, "killed"))
    telemetry.watch("render_deaths", "recycled", read=partial(fact, "recycled"))
    telemetry.watch("parcel_bytes", read=partial(fact, "parcels"))
    telemetry.watch("cache_bytes", read=lambda: hot.weight)
