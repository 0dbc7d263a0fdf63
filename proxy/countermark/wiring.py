"""From settings to a running data plane, and to a control plane: the only file that knows every backend."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path

from msgspec import structs

from countermark.backends.caches.disk import DiskCache, DiskCounts, open_disk
from countermark.backends.caches.memory import MemoryCache
from countermark.backends.flights import SocketFlights
from countermark.backends.notifiers.table import open_notifiers
from countermark.backends.origins.table import open_origin
from countermark.backends.purgers.table import open_purger
from countermark.backends.revocations.replica import LocalRevocations
from countermark.backends.stores.table import open_store
from countermark.configuration import Configuration
from countermark.control.comparison import Bench
from countermark.control.dispatch import Dispatch, Receiver
from countermark.control.fronts import fronts_of
from countermark.control.plane import ControlPlane
from countermark.control.records import Records
from countermark.control.sessions import Terms
from countermark.core.catalogue import Catalogue
from countermark.core.events import Severity
from countermark.core.networks import NetworkSet
from countermark.delivery.door import FrontDoor
from countermark.delivery.gate import Gate
from countermark.delivery.obtain import Obtain, Source
from countermark.delivery.seeds import Seeds
from countermark.delivery.sentry import Sentry, Watch
from countermark.delivery.sites import Site, SiteTable
from countermark.identity.client import Client
from countermark.identity.clientfile import load_clients
from countermark.identity.seeds import open_seed
from countermark.identity.surrogate import TagField
from countermark.imaging.operations import Limits, Mark
from countermark.imaging.plan import PlanRules
from countermark.imaging.presets import Preset, read_presets
from countermark.policy import decide
from countermark.policy.load import load_templates
from countermark.policy.template import Template
from countermark.ports import Store, Telemetry
from countermark.render.pool import PoolFacts, RenderPool
from countermark.settings.cdns import CDN_TRAITS
from countermark.settings.model import (
    CdnSettings,
    NotifySettings,
    RenderSettings,
    Settings,
    SiteSettings,
    WatchSettings,
    WatermarkSettings,
)
from countermark.signing.realm import realm_of, waivers
from countermark.telemetry.events import EventSink
from countermark.telemetry.relay import Relay

# Seconds after which a purge is repeated at last, however long a copy of the list may be silent.
_SETTLED_AT_LAST = 10.0


async def build(configuration: Configuration, *, instance: str, telemetry: EventSink) -> FrontDoor:
    """The front door of one worker. `instance` is the secret that all workers of this gateway share.

    Raises ConfigurationInvalid for what only a start can find: presets, backends, the sandbox.
    """
    settings, images = configuration.settings, configuration.watermarks
    presets = read_presets(settings.presets)
    keyring = configuration.keyring
    templates = load_templates(configuration.policies, presets=settings.presets.keys())
    clients = _clients(configuration)
    async with AsyncExitStack() as closing:
        cold = open_disk(settings.cache.disk, settings.cache.disk_size) if settings.cache.disk else None
        if cold:
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
        store = await open_store(settings.store)
        closing.push_async_callback(store.close)
        replica = _replica(settings, store)
        closing.push_async_callback(replica.close)
        await replica.start()
        renderer = await RenderPool.start(settings.render, images)
        closing.push_async_callback(renderer.close)
        hot = MemoryCache(settings.cache.memory)
        _watch(telemetry, renderer, hot, store, replica)
        if cold:
            _watch_disk(telemetry, cold)
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
        sites = SiteTable([_site(site, settings, presets, images, templates) for site in settings.sites])
        return FrontDoor(
            sites=sites,
            seeds=Seeds(store.sessions, lambda session: open_seed(keyring, session, now=time.time()), keyring, replica),
            gate=Gate(
                replica=replica,
                clients=clients,
                templates=templates,
                serve_stale=settings.revocation.when_stale == "serve",
            ),
            turnstile=store.turnstile,
            sentry=Sentry(
                watch=_watch_rules(settings.watch),
                strikes=store.cells,
                revocations=store.revocations,
                outbox=store.outbox,
                telemetry=_relayed(settings.notify, telemetry, store),
                nonce=partial(secrets.token_hex, 12),
            ),
            obtain=obtain,
            ready=partial(_reasons, renderer, replica),
            close=closing.pop_all().aclose,
        )


def _reasons(renderer: RenderPool, replica: LocalRevocations) -> list[str]:
    reasons = [] if renderer.facts.children else ["no render child stands"]
    return [*reasons, replica.stale] if replica.stale else reasons


def _replica(settings: Settings, store: Store) -> LocalRevocations:
    return LocalRevocations(
        store.revocations, Path(settings.revocation.folder), max_staleness=settings.revocation.max_staleness
    )


def _watch_rules(watch: WatchSettings) -> Watch:
    return Watch(
        refusals=watch.refusals,
        refusals_window=watch.refusals_window,
        block_seconds=watch.block,
        failures=watch.failures,
        critical=frozenset(watch.critical),
    )


def _clients(configuration: Configuration) -> dict[str, Client] | None:
    """The registered clients by id, None where the settings name no file of them."""
    file = configuration.settings.clients
    return load_clients(configuration.clients, file=file) if file else None


async def build_control(configuration: Configuration, telemetry: Telemetry) -> ControlPlane:
    """The control plane of the supervisor. Raises ConfigurationInvalid for presets and stores that cannot be used."""
    settings = configuration.settings
    templates = load_templates(configuration.policies, presets=settings.presets.keys())
    clients = _clients(configuration)
    rules = {name: partial(decide.inspect, template) for name, template in templates.items()}
    bench = Bench(rules=rules, presets=read_presets(settings.presets))
    store = await open_store(settings.store)
    records = Records(
        telemetry=_relayed(settings.notify, telemetry, store),
        outbox=store.outbox,
        clock=time.time,
        random=secrets.token_bytes,
    )
    purgers = {name: open_purger(name, cdn) for name, cdn in settings.cdns.items()}
    receivers = {name: Receiver(*told) for name, told in open_notifiers(settings.notify).items()}
    settled = min(settings.revocation.max_staleness, _SETTLED_AT_LAST)
    dispatch = Dispatch(outbox=store.outbox, records=records, purgers=purgers, receivers=receivers, settled=settled)
    dispatch.start()
    return ControlPlane(
        store=store,
        fronts=fronts_of(settings),
        keyring=configuration.keyring,
        bench=bench,
        terms=Terms(clients=None if clients is None else frozenset(clients), max_life=int(settings.sessions.max_life)),
        records=records,
        dispatch=dispatch,
        templates=templates,
    )


def _relayed(notify: NotifySettings, telemetry: Telemetry, store: Store) -> Telemetry:
    """The telemetry, which also tells whom the settings name."""
    mail = [notify.mail.severity] if notify.mail.server else []
    wanted: set[Severity] = {*(webhook.severity for webhook in notify.webhooks), *mail}
    if wanted <= {"critical"}:
        return telemetry
    return Relay(telemetry, store.outbox, "info" if "info" in wanted else "warning")


def _site(
    site: SiteSettings,
    settings: Settings,
    presets: dict[str, Preset],
    images: dict[str, bytes],
    templates: Mapping[str, Template],
) -> Site:
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
        template=templates[site.policy] if site.policy else None,
        networks=NetworkSet(map(ip_network, site.networks)) if site.networks else None,
        catalogue=Catalogue(site.catalogue) if site.catalogue else None,
        cdns=site.cdns,
        tag_fields=_tag_fields([settings.cdns[name] for name in site.cdns]),
    )


def _tag_fields(cdns: Sequence[CdnSettings]) -> tuple[TagField, ...]:
    """One field for all CDNs that read the same."""
    found = {cdn.tagged_in.lower(): TagField(cdn.tagged_in, CDN_TRAITS[cdn.kind].separator) for cdn in cdns}
    return tuple(field for field in found.values() if field.name)


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


def _watch(
    telemetry: EventSink, renderer: RenderPool, hot: MemoryCache, store: Store, replica: LocalRevocations
) -> None:
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
    telemetry.watch("render_starts", read=partial(fact, "spawned"))
    telemetry.watch("render_deaths", "recycled", read=partial(fact, "recycled"))
    telemetry.watch("parcel_bytes", read=partial(fact, "parcels"))
    telemetry.watch("cache_bytes", read=lambda: hot.weight)
    telemetry.watch("store_away", read=lambda: bool(store.trouble))
    telemetry.watch("revocations_stale", read=lambda: bool(replica.stale))


def _watch_disk(telemetry: EventSink, cold: DiskCache) -> None:
    for event in structs.fields(DiskCounts):
        telemetry.watch("disk_cache", event.name, read=partial(getattr, cold.counts, event.name))
