"""Obtain: the rendition of a plan, from a cache, from whoever is making it already, or from its origin.

The order is: this process's memory, the workers' disk, then one flight for all who want the same. Its leader asks the
origin only for what is not known, and renders only what is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.errors import (
    CountermarkError,
    OriginalMissing,
    OriginError,
    OriginTimeout,
    OriginUnreachable,
    PictureBroken,
    PictureTooLarge,
    PictureUnsupported,
)
from countermark.core.events import RequestEvent
from countermark.core.picture import CONTENT_TYPES, OriginFacts, Rendition
from countermark.delivery.conditions import not_modified, wanted_range
from countermark.imaging.operations import Recipe
from countermark.imaging.plan import Plan
from countermark.imaging.sniff import SNIFF_BYTES, sniff
from countermark.ports import ByteRange, ColdCache, Flight, Flights, HotCache, Origin, Parcel, Renderer

_FLIGHT_ATTEMPTS = 3


class Source(Struct, frozen=True, kw_only=True):
    """An origin with the bounds that its settings put on originals: bytes to render, seconds to fetch them."""

    origin: Origin
    max_bytes: int
    total_timeout: float


class Unchanged(Struct, frozen=True):
    """The client has it already."""

    etag: str
    modified: float | None


class Passage(Struct, frozen=True, kw_only=True):
    """An original too large to keep, on its way through. `part` is what is sent of `facts.size`, None for all."""

    content_type: str
    etag: str
    facts: OriginFacts
    part: ByteRange | None
    stream: AsyncGenerator[bytes, None]

    @property
    def modified(self) -> float | None:
        """The original's Last-Modified in unix seconds."""
        return self.facts.modified


Obtained = Rendition | Unchanged | Passage


def etag_of(plan: Plan, validator: str) -> str:
    """Our strong entity tag: known as soon as the original's validator is, before anything is fetched or rendered."""
    digest = hashlib.sha256(plan.key + validator.encode()).digest()
    return f'"{urlsafe_b64encode(digest[:16]).decode().rstrip("=")}"'


class Obtain:
    """The stage, with the effects that it reaches through ports. Ages are in seconds, sizes in bytes."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        hot: HotCache,
        cold: ColdCache | None,
        flights: Flights,
        renderer: Renderer,
        revalidate: float,
        max_entry: int,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._hot = hot
        self._cold = cold
        self._flights = flights
        self._renderer = renderer
        self._revalidate = revalidate
        self._max_entry = max_entry
        self._wall_clock = wall_clock
        self._writing: set[asyncio.Task[None]] = set()

    def at_hand(self, plan: Plan, now: float) -> Rendition | None:
        """A fresh rendition from this process's memory, without waiting."""
        rendition = self._hot.get(plan.key)
        if rendition is None or now - rendition.made > self._revalidate:
            return None
        return rendition

    async def __call__(self, plan: Plan, headers: Mapping[str, str], event: RequestEvent) -> Obtained:
        """The rendition, Unchanged for a conditional request that needs no work, or a Passage."""
        kept = await self._kept(plan, event)
        if kept is not None and self._fresh(kept):
            return kept
        if kept is None:
            unchanged = await self._unchanged(plan, headers, event)
            if unchanged is not None:
                return unchanged
            if plan.recipe is not None and not self._flights.aboard(plan.key):
                # In a crowd most end here. Whether a sibling process is at this very picture is not asked any more: that
                # was two fifths of what a refusal took, and what refusals take is lost to the renders.
                self._renderer.check()
        return await self._fly(plan, headers, event)

    async def _kept(self, plan: Plan, event: RequestEvent) -> Rendition | None:
        rendition = self._hot.get(plan.key)
        if rendition is not None:
            event.cache = "hit"
            return rendition
        rendition = await self._cold.get(plan.key) if self._cold else None
        if rendition is not None:
            event.cache = "disk"
            self._hot.put(plan.key, rendition)
        return rendition

    def _fresh(self, rendition: Rendition) -> bool:
        return self._wall_clock() - rendition.made <= self._revalidate

    async def _unchanged(self, plan: Plan, headers: Mapping[str, str], event: RequestEvent) -> Unchanged | None:
        """Answer a conditional request from the origin's facts alone: neither body nor render is needed for a 304."""
        if "if-none-match" not in headers and "if-modified-since" not in headers:
            return None
        facts = await self._stat(plan, event)
        if not facts.validator:
            return None
        etag = etag_of(plan, facts.validator)
        if not not_modified(headers, etag, facts.modified):
            return None
        event.cache = "revalidated"
        return Unchanged(etag, facts.modified)

    async def _stat(self, plan: Plan, event: RequestEvent) -> OriginFacts:
        source = self._sources[plan.origin]
        event.origin = plan.origin
        started = time.perf_counter()
        try:
            async with asyncio.timeout(source.total_timeout):
                return await source.origin.stat(plan.object_key)
        except TimeoutError:
            raise OriginTimeout("The origin took too long.") from None
        finally:
            event.stages["fetch"] = event.stages.get("fetch", 0.0) + time.perf_counter() - started

    async def _fly(self, plan: Plan, headers: Mapping[str, str], event: RequestEvent) -> Obtained:
        """Lead or follow the one flight for this key. A leader that dies is replaced, a bounded number of times."""
        for _ in range(_FLIGHT_ATTEMPTS):
            async with self._flights.join(plan.key) as flight:
                if flight.leader:
                    return await self._lead(flight, plan, headers, event)
                rendition = await flight.wait()
            if rendition is not None:
                event.cache = "collapsed"
                self._hot.put(plan.key, rendition)
                return rendition
            if plan.recipe is None:
                # The leader found an original that is too large to share, so everybody streams for himself.
                return await self._pass_through(plan, headers, event, flight=None)
        raise OriginUnreachable("The picture could not be obtained.", private="every leader of its flight died")

    async def _lead(self, flight: Flight, plan: Plan, headers: Mapping[str, str], event: RequestEvent) -> Obtained:
        try:
            # Between the first look and the start of this flight another one may have landed in this process; one that
            # landed in a sibling would have been found lingering.
            kept = self._hot.get(plan.key)
            if kept is not None and not self._fresh(kept):
                kept = await self._confirm(kept, plan, event)
            if kept is not None:
                flight.land(kept)
                return kept
            event.cache = "miss"
            if plan.recipe is None:
                return await self._pass_through(plan, headers, event, flight=flight)
            rendition = await self._make(plan, plan.recipe, event)
        except CountermarkError as error:
            flight.fail(error)
            raise
        self._share(flight, plan, rendition)
        return rendition

    async def _confirm(self, kept: Rendition, plan: Plan, event: RequestEvent) -> Rendition | None:
        """A stale rendition made fresh again if its original is unchanged, None if it must be made anew.

        An origin that cannot be asked does not take away what is kept; one that says the object is gone does.
        """
        try:
            facts = await self._stat(plan, event)
        except OriginalMissing:
            self._hot.drop(plan.key)
            if self._cold:
                await self._cold.drop(plan.key)
            raise
        except OriginError:
            event.cache = "stale"
            return kept
        if not facts.validator or facts.validator != kept.validator:
            return None
        event.cache = "revalidated"
        confirmed = replace(kept, made=self._wall_clock())
        self._hot.put(plan.key, confirmed)
        return confirmed

    def _share(self, flight: Flight | None, plan: Plan, rendition: Rendition) -> None:
        """Keep it, then hand it to those who wait: whoever comes after them must find it kept."""
        keep = len(rendition.body) <= self._max_entry
        if keep:
            self._hot.put(plan.key, rendition)
        if flight is not None:
            flight.land(rendition)
        if keep and self._cold:
            self._write_behind(self._cold.put(plan.key, rendition))

    def _write_behind(self, work: Coroutine[None, None, None]) -> None:
        """The client does not wait for the disk."""
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Finish what is being written to disk."""
        await asyncio.gather(*self._writing)

    async def _make(self, plan: Plan, recipe: Recipe, event: RequestEvent) -> Rendition:
        """Fetch the original into a parcel, then render it. The render slot is not held while the origin is slow."""
        source = self._sources[plan.origin]
        event.origin = plan.origin
        parcel = self._renderer.parcel(limit=source.max_bytes)
        try:
            facts = await self._fetch(source, plan, parcel, event)
            if parcel.size == 0:
                raise PictureBroken("The original is empty.")
            if sniff(parcel.head(SNIFF_BYTES)) is None:
                raise PictureUnsupported("The original is not a picture of a format that is read here.")
            event.bytes_in = parcel.size
            rendered = await self._renderer.render(parcel, recipe)
        finally:
            parcel.close()
        event.stages["queue"] = rendered.queue_seconds
        event.stages["render"] = rendered.render_seconds
        event.format = rendered.format
        now = self._wall_clock()
        validator = facts.validator or hashlib.sha256(rendered.body).hexdigest()
        return Rendition(
            body=rendered.body,
            content_type=CONTENT_TYPES[rendered.format],
            etag=etag_of(plan, validator),
            validator=facts.validator,
            made=now,
            modified=facts.modified,
            width=rendered.width,
            height=rendered.height,
        )

    async def _fetch(self, source: Source, plan: Plan, parcel: Parcel, event: RequestEvent) -> OriginFacts:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(source.total_timeout), source.origin.open(plan.object_key) as body:
                if body.facts.size is not None and body.facts.size > source.max_bytes:
                    raise PictureTooLarge(f"The original has {body.facts.size} bytes; {source.max_bytes} are allowed.")
                await body.pour(parcel)
                return body.facts
        except TimeoutError:
            raise OriginTimeout("The origin took too long to send the original.") from None
        finally:
            event.stages["fetch"] = event.stages.get("fetch", 0.0) + time.perf_counter() - started

    async def _pass_through(
        self, plan: Plan, headers: Mapping[str, str], event: RequestEvent, *, flight: Flight | None
    ) -> Rendition | Passage:
        """The original itself: kept like any rendition when it is small, streamed when it is not."""
        source = self._sources[plan.origin]
        event.origin = plan.origin
        async with AsyncExitStack() as stack:
            started = time.perf_counter()
            body = await stack.enter_async_context(source.origin.open(plan.object_key))
            chunks = body.chunks()
            head = await _at_least(chunks, SNIFF_BYTES)
            event.stages["fetch"] = time.perf_counter() - started
            content_type = _content_type(head)
            size = body.facts.size
            if size is not None and size <= self._max_entry and body.facts.validator:
                whole = head + b"".join([chunk async for chunk in chunks])
                rendition = self._original(plan, whole, content_type, body.facts)
                event.bytes_in = size
                self._share(flight, plan, rendition)
                return rendition
            event.cache = "bypass"
            etag = etag_of(plan, body.facts.validator) if body.facts.validator else ""
            part = wanted_range(headers, etag, size) if size is not None and etag else None
            if part is not None:
                await stack.aclose()
                body = await stack.enter_async_context(source.origin.open(plan.object_key, part))
                chunks = body.chunks()
                head = await _at_least(chunks, 1)
                if etag_of(plan, body.facts.validator) != etag:
                    raise OriginUnreachable("The original changed while it was read.")
            passage = Passage(
                content_type=content_type,
                etag=etag,
                facts=body.facts,
                part=part,
                stream=_drain(head, chunks, stack.pop_all()),
            )
            # A generator that never ran would not reach its clean-up, so it is started here.
            await anext(passage.stream)
            return passage

    def _original(self, plan: Plan, body: bytes, content_type: str, facts: OriginFacts) -> Rendition:
        return Rendition(
            body=body,
            content_type=content_type,
            etag=etag_of(plan, facts.validator),
            validator=facts.validator,
            made=self._wall_clock(),
            modified=facts.modified,
        )


def _content_type(head: bytes) -> str:
    """The type of what is really there: an origin's word for it could turn a picture host into a script host."""
    if not head:
        raise PictureBroken("The original is empty.")
    form = sniff(head)
    if form is None:
        raise PictureUnsupported("The original is not a picture of a format that is served here.")
    return CONTENT_TYPES[form]


async def _at_least(chunks: AsyncIterator[bytes], count: int) -> bytes:
    head = b""
    while len(head) < count:
        chunk = await anext(chunks, None)
        if chunk is None:
            break
        head += chunk
    return head


async def _drain(head: bytes, chunks: AsyncIterator[bytes], stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    """First yields nothing (which starts it), then the bytes; closing it closes the origin's transfer."""
    async with stack:
        yield b""
        yield head
        async for chunk in chunks:
            yield chunk
