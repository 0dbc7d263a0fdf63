"""The render pool of one gateway worker: originals in, renditions out, whatever the decoders do in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping

from msgspec import Struct, structs

from countermark.core.errors import (
    ConfigurationInvalid,
    CountermarkError,
    Overloaded,
    PictureBroken,
    PictureError,
    PictureTooLarge,
    PictureUnsupported,
    RenderCrashed,
    RenderDeadline,
)
from countermark.imaging.operations import Recipe
from countermark.ports import Parcel, Rendered
from countermark.render import wire
from countermark.render.decoder import Decoder
from countermark.render.line import Line, shed
from countermark.render.nursery import Nursery
from countermark.render.parcel import Budget, MemoryParcel
from countermark.settings.model import RenderSettings

ENGINE = "countermark.render.engine:Engine"
PREPARE = "countermark.render.gate:prepare_libvips"

# A child is replaced after so many jobs, or when the C library keeps so much of their memory.
JOBS = 1000
RESIDENT = 192 * 2**20

_RETRY_FIRST, _RETRY_LAST = 0.05, 5.0
_REFUSALS = {error.reason: error for error in (PictureError, PictureTooLarge, PictureUnsupported, PictureBroken)}


class PoolFacts(Struct, kw_only=True):
    """Counts since the start (spawned to shed), and the state now (children to parcels, the last in bytes)."""

    spawned: int = 0
    rendered: int = 0
    refused: int = 0
    crashed: int = 0
    killed: int = 0
    recycled: int = 0
    shed: int = 0
    children: int = 0
    busy: int = 0
    waiting: int = 0
    parcels: int = 0


class Ticket:
    """One render that somebody waits for. The sealed original is the parcel's; a descriptor is not closed here."""

    def __init__(self, loop: asyncio.AbstractEventLoop, recipe: Recipe, original: bytes | int, size: int) -> None:
        self.recipe = recipe
        self.original = original
        self.size = size
        self.joined = loop.time()
        self.begun = self.joined
        self.deadline: asyncio.TimerHandle | None = None
        self.outcome: asyncio.Future[Rendered] = loop.create_future()

    def land(self, rendered: Rendered) -> None:
        if not self.outcome.done():
            self.outcome.set_result(rendered)

    def fail(self, error: CountermarkError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class RenderPool:
    """Implements `ports.Renderer` with child processes. One child stands ready; the others come when there is a line.

    A child belongs to one job while it renders and to none else. It is killed at the job's deadline, and replaced at
    once when it is gone for whatever reason.
    """

    def __init__(self, settings: RenderSettings, nursery: Nursery) -> None:
        self._loop = asyncio.get_running_loop()
        self._nursery = nursery
        self._deadline = settings.deadline
        self._size = len(os.sched_getaffinity(0)) if settings.children == "auto" else settings.children
        self._budget = Budget(settings.parcels)
        self._line: Line[Ticket] = Line(target=settings.queue_delay, spare=self._size)
        self._children: set[Decoder] = set()
        self._idle: list[Decoder] = []
        self._busy: dict[Decoder, Ticket] = {}
        self._spawning = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._turning: asyncio.TimerHandle | None = None
        self._closed = False
        self._counts = PoolFacts()

    @classmethod
    async def start(
        cls, settings: RenderSettings, watermarks: Mapping[str, bytes], engine: str = ENGINE, prepare: str = PREPARE
    ) -> RenderPool:
        """A pool with one child ready. `engine` and `prepare` are MODULE:NAME, imported by the fork server.

        Raises ConfigurationInvalid when the machine lacks a sandbox layer that is not waived, or the engine cannot be
        imported; OSError when the child cannot be started.
        """
        nursery = Nursery(
            wire.Upbringing(
                engine=engine,
                prepare=prepare,
                watermarks=dict(watermarks),
                waived=settings.unsafe_waive_sandbox,
                memory=settings.max_memory,
            )
        )
        pool = cls(settings, nursery)
        try:
            pool._welcome(await nursery.spawn())
        except BaseException:
            await pool.close()
            raise
        return pool

    @property
    def facts(self) -> PoolFacts:
        """Counters and gauges as they are now."""
        return structs.replace(
            self._counts,
            children=len(self._children),
            busy=len(self._busy),
            waiting=len(self._line),
            parcels=self._budget.held,
        )

    def check(self) -> None:
        """Raises Overloaded when a render that is asked for now would wait too long."""
        try:
            self._line.check(self._loop.time())
        except Overloaded:
            self._counts.shed += 1
            raise

    def parcel(self, *, limit: int) -> MemoryParcel:
        """A new, empty parcel that takes at most `limit` bytes. Raises as `check`: else an original is fetched in vain."""
        self.check()
        return MemoryParcel(self._budget, limit)

    async def render(self, original: Parcel, recipe: Recipe) -> Rendered:
        """Raises PictureError, RenderCrashed, RenderDeadline, or Overloaded when the queue's delay is too long.

        A caller that is cancelled while it waits loses its place; later, the child ends the job for nobody.
        """
        if not isinstance(original, MemoryParcel):
            raise TypeError("a render pool renders its own parcels")
        if self._closed:
            raise _closing()
        if not original.size:
            raise PictureBroken("The original is empty.")
        ticket = Ticket(self._loop, recipe, original.seal(), original.size)
        self.check()
        self._line.join(ticket, ticket.joined)
        self._dispatch()
        try:
            return await ticket.outcome
        finally:
            self._line.leave(ticket)

    async def close(self) -> None:
        """End all children and the fork server. Who still waits is told to come back."""
        self._closed = True
        if self._turning:
            self._turning.cancel()
        while ticket := self._line.first():
            self._line.leave(ticket)
            ticket.fail(_closing())
        for ticket in self._busy.values():
            self._stop_clock(ticket)
            ticket.fail(_closing())
        for child in self._children:
            child.kill()
            child.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._nursery.close()

    def _dispatch(self) -> None:
        while self._idle and (ticket := self._line.first()):
            if ticket.outcome.done():
                self._line.leave(ticket)
            elif self._begin(self._idle.pop(), ticket):
                self._line.serve(ticket, ticket.begun)
        if not self._line:
            return
        if len(self._children) + self._spawning < self._size:
            self._grow()
        self._watch_line()

    def _begin(self, child: Decoder, ticket: Ticket) -> bool:
        seconds = min(ticket.recipe.limits.seconds, self._deadline)
        try:
            child.give(ticket.recipe, ticket.original, ticket.size, seconds)
        except OSError:
            # It died while it was idle: the ticket keeps its place and the next child takes it.
            self._counts.crashed += 1
            self._replace(child)
            return False
        ticket.begun = self._loop.time()
        ticket.deadline = self._loop.call_later(seconds, self._overdue, child)
        self._busy[child] = ticket
        return True

    def _heard(self, child: Decoder, answer: wire.Answer | None) -> None:
        ticket = self._busy.pop(child, None)
        if ticket is None or not isinstance(answer, wire.Done | wire.Failed):
            self._lost(child, ticket)
            return
        self._stop_clock(ticket)
        if isinstance(answer, wire.Failed):
            self._refused(child, ticket, answer)
            return
        body = child.body(answer)
        if body is None:
            self._lost(child, ticket)
            return
        self._counts.rendered += 1
        ticket.land(
            Rendered(
                body=body,
                format=answer.format,
                width=answer.width,
                height=answer.height,
                queue_seconds=ticket.begun - ticket.joined,
                render_seconds=answer.seconds,
            )
        )
        self._rest(child, answer.resident)

    def _refused(self, child: Decoder, ticket: Ticket, answer: wire.Failed) -> None:
        refusal = _REFUSALS.get(answer.reason)
        if refusal is None:
            self._counts.crashed += 1
            ticket.fail(_crashed(answer.private))
            self._replace(child)
            return
        self._counts.refused += 1
        ticket.fail(refusal(answer.detail, private=answer.private))
        self._rest(child, answer.resident)

    def _overdue(self, child: Decoder) -> None:
        ticket = self._busy.pop(child)
        self._counts.killed += 1
        ticket.fail(
            RenderDeadline(
                "The picture took too long to render.",
                private=f"render child {child.pid} was killed at its deadline",
            )
        )
        self._replace(child)

    def _lost(self, child: Decoder, ticket: Ticket | None) -> None:
        self._counts.crashed += 1
        if ticket:
            self._stop_clock(ticket)
            self._run(self._mourn(child, ticket))
        self._replace(child)

    async def _mourn(self, child: Decoder, ticket: Ticket) -> None:
        private = f"render child {child.pid} is gone"
        try:
            private = await child.epitaph()
        finally:
            ticket.fail(_crashed(private))

    def _rest(self, child: Decoder, resident: int) -> None:
        if child.jobs >= JOBS or resident > RESIDENT:
            self._counts.recycled += 1
            self._replace(child)
            return
        self._idle.append(child)
        self._dispatch()

    def _replace(self, child: Decoder) -> None:
        self._children.discard(child)
        if child in self._idle:
            self._idle.remove(child)
        child.kill()
        child.close()
        self._grow()

    def _grow(self) -> None:
        self._spawning += 1
        self._run(self._spawn())

    async def _spawn(self) -> None:
        pause = _RETRY_FIRST
        while True:
            try:
                child = await self._nursery.spawn()
                break
            except (OSError, ConfigurationInvalid):
                # The line is bounded in time, so nobody waits for this for ever.
                await asyncio.sleep(pause)
                pause = min(2 * pause, _RETRY_LAST)
        self._spawning -= 1
        self._welcome(child)

    def _welcome(self, child: Decoder) -> None:
        self._counts.spawned += 1
        self._children.add(child)
        self._idle.append(child)
        child.hear(lambda answer: self._heard(child, answer))
        self._dispatch()

    def _watch_line(self) -> None:
        if self._turning is None:
            moment = self._line.next_turning()
            self._turning = None if moment is None else self._loop.call_at(moment, self._turn_away)

    def _turn_away(self) -> None:
        self._turning = None
        for ticket, waited in self._line.turn_away(self._loop.time()):
            self._counts.shed += 1
            ticket.fail(shed(waited))
        self._watch_line()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop_clock(self, ticket: Ticket) -> None:
        if ticket.deadline:
            ticket.deadline.cancel()


def _crashed(private: str) -> RenderCrashed:
    return RenderCrashed("The picture could not be rendered: its decoder ended unexpectedly.", private=private)


def _closing() -> Overloaded:
    return Overloaded("The gateway is closing. Try again shortly.")
