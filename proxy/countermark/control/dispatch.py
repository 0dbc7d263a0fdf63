"""The dispatch: it does what stands in the outbox, and says how it went.

A task is leased, done and taken off; a purge is done at once and once more when every gateway must have heard of its cause.
One that fails is put off, for longer each time; on-call is told when it has failed for about a minute, or when trying again is
useless as things stand, and again when it is given up after a day. Whoever dies over a task leaves its lease to run out;
another machine, or the next start, does it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct, structs

from countermark.control.records import Records
from countermark.core.errors import NotifyFailed, PurgeFailed, StoreUnavailable, TaskFailed
from countermark.core.events import Notice, Severity
from countermark.core.tasks import NOTIFY, PURGE, TELL, Purge, Task, Tell, read_notice, read_purge, read_tell, tell_task
from countermark.ports import Notifier, Outbox, Purger

POLL_SECONDS = 0.5
LEASE_SECONDS = 120.0
WORK_SECONDS = 90.0  # less than the lease, so that no other machine begins while this one is at it
AT_ONCE = 16
LEAVE_SECONDS = 5.0

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
ALARM_ATTEMPTS = 5
DEAD_SECONDS = 86_400.0

_RANKS: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


class Receiver(Struct, frozen=True):
    """Who is told, from which severity on."""

    notifier: Notifier
    severity: Severity


class Dispatch:
    """`purgers` by the name of their CDN, `receivers` by a name that a reload keeps. Closes both.

    `settled` is the number of seconds after which no gateway serves any more what a purge's cause forbids.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        records: Records,
        purgers: Mapping[str, Purger],
        receivers: Mapping[str, Receiver],
        settled: float,
    ) -> None:
        self._outbox = outbox
        self._records = records
        self._purgers = purgers
        self._receivers = receivers
        self._settled = settled
        self._works: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; call it in the loop that shall do the work."""
        self._loop = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Take no more; what does not end soon is left to its lease."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._works:
            _, late = await asyncio.wait(self._works, timeout=LEAVE_SECONDS)
            for work in late:
                work.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*(purger.close() for purger in self._purgers.values()))
        await asyncio.gather(*(receiver.notifier.close() for receiver in self._receivers.values()))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # No more is leased than can begin at once: a task that waits here would use up its lease.
            if len(self._works) == AT_ONCE:
                await asyncio.wait(self._works, return_when=asyncio.FIRST_COMPLETED)
                continue
            taken = await self._lease(AT_ONCE - len(self._works))
            for task in taken:
                work = loop.create_task(self._work(task))
                self._works.add(work)
                work.add_done_callback(self._works.discard)
            if not taken:
                await asyncio.sleep(POLL_SECONDS)

    async def _lease(self, limit: int) -> tuple[Task, ...]:
        try:
            return await self._outbox.lease(limit=limit, seconds=LEASE_SECONDS, now=self._records.clock())
        except StoreUnavailable:
            return ()

    async def _work(self, task: Task) -> None:
        began, settled = self._records.clock(), task.created + self._settled
        try:
            failure = await self._attempt(task)
            if failure is not None:
                await self._failed(task, failure)
                return
            if task.kind == PURGE and began < settled:
                # A viewer who asks right after the purge may come, by way of the CDN, to a gateway that has not heard of the
                # revocation: the CDN would keep that answer as long as any other. So it is purged once more, by a task of its
                # own, whose failures count from the first.
                await self._outbox.put([structs.replace(task, id=f"{task.id}-again", due=settled, attempts=0)])
            elif task.kind == PURGE:
                await self._tell_purge(task, "done", severity="info")
            await self._outbox.done(task.id)
        except StoreUnavailable:
            return  # the lease runs out, and it is done again

    async def _attempt(self, task: Task) -> TaskFailed | None:
        """Do it; what went wrong."""
        try:
            async with asyncio.timeout(WORK_SECONDS):
                await self._do(task)
        except TaskFailed as failure:
            return failure
        except msgspec.DecodeError:
            return TaskFailed("This version cannot read the task.", final=True)
        except TimeoutError:
            return TaskFailed("It took too long.")
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a fault that nobody foresaw must not end the loop, nor pass in silence
            return TaskFailed("It ended in an error that nobody foresaw.", private=repr(error), final=True)
        return None

    async def _do(self, task: Task) -> None:
        if task.kind == PURGE:
            await self._purge(read_purge(task))
        elif task.kind == NOTIFY:
            await self._fan_out(read_notice(task))
        elif task.kind == TELL:
            await self._tell(read_tell(task))
        else:
            raise TaskFailed(f"This version knows no tasks of the kind {task.kind[:40]!r}.", final=True)

    async def _purge(self, purge: Purge) -> None:
        purger = self._purgers.get(purge.cdn)
        if purger is None:
            raise PurgeFailed(f"The settings name no CDN {purge.cdn[:80]!r} any more.", final=True)
        await purger.purge(tags=purge.tags, urls=purge.urls)

    async def _fan_out(self, notice: Notice) -> None:
        now = self._records.clock()
        receivers = [
            name for name, receiver in self._receivers.items() if _RANKS[notice.severity] >= _RANKS[receiver.severity]
        ]
        await self._outbox.put([tell_task(Tell(receiver=name, notice=notice), now=now) for name in receivers])

    async def _tell(self, tell: Tell) -> None:
        receiver = self._receivers.get(tell.receiver)
        if receiver is None:
            raise NotifyFailed(f"The settings name no receiver {tell.receiver[:80]!r} any more.", final=True)
        await receiver.notifier.tell(tell.notice)

    async def _failed(self, task: Task, failure: TaskFailed) -> None:
        attempt, now = task.attempts + 1, self._records.clock()
        dead = now - task.created >= DEAD_SECONDS
        alarm = dead or attempt == ALARM_ATTEMPTS or (failure.final and attempt == 1)
        outcome: Literal["dead", "failed"] = "dead" if dead else "failed"
        if task.kind == PURGE:
            await self._tell_purge(task, outcome, severity="critical" if alarm else "warning", failure=failure)
        else:
            # It is not told by way of itself: who cannot be reached would be told of it without end.
            self._note_untold(task, outcome, failure)
        if dead:
            await self._outbox.done(task.id)
        else:
            await self._outbox.put_off(task.id, due=now + self._pause(attempt, failure))

    def _pause(self, attempt: int, failure: TaskFailed) -> float:
        """Seconds until the next try: what the other side says, or twice as long each time, spread over half of it."""
        longest = LONGEST_PAUSE if failure.final else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt - 1, 16))
        spread = int.from_bytes(self._records.random(4)) / 2**32
        return max(min(failure.retry_after or 0.0, 12 * LONGEST_PAUSE), longest * (0.5 + spread / 2))

    async def _tell_purge(
        self, task: Task, outcome: str, *, severity: Severity, failure: TaskFailed | None = None
    ) -> None:
        try:
            purge = read_purge(task)
        except msgspec.DecodeError:
            purge = Purge(cdn="unknown")
        notice = self._records.note(
            f"purge.{outcome}",
            actor="gateway",
            subject=f"cdn:{purge.cdn}",
            severity=severity,
            detail=failure.detail if failure else "",
            facts={
                "cdn": purge.cdn,
                "cause": purge.cause,
                "seconds": f"{max(0.0, self._records.clock() - task.created):.3f}",
                "attempt": str(task.attempts + 1),
                "tags": " ".join(purge.tags)[:2000],
                "urls": " ".join(purge.urls)[:2000],
                "error": failure.private[:200] if failure else "",
            },
        )
        await self._records.follow_up(notice, ())

    def _note_untold(self, task: Task, outcome: str, failure: TaskFailed) -> None:
        self._records.note(
            f"notify.{outcome}",
            actor="gateway",
            subject=f"task:{task.id}"[:200],
            severity="critical" if outcome == "dead" else "warning",
            detail=failure.detail,
            facts={"attempt": str(task.attempts + 1), "error": failure.private[:200]},
        )
