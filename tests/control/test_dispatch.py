"""The dispatch: what stands in the outbox is done, tried again, or told to people; nothing is dropped in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from countermark.control.dispatch import ALARM_ATTEMPTS, DEAD_SECONDS, LONGEST_PAUSE, Dispatch, Receiver
from countermark.core.errors import NotifyFailed, PurgeFailed
from countermark.core.events import Notice
from countermark.core.tasks import Purge, Task, notify_task, purge_task

from .world import NOW, World

PURGE = Purge(cdn="edge", tags=("k-0123456789abcdef",), cause="revocation key:k1")


class Cdn:
    """A CDN that fails as often as it is told to."""

    def __init__(self, *failures: PurgeFailed) -> None:
        self.failures = list(failures)
        self.purged: list[tuple[str, ...]] = []
        self.closed = False

    async def purge(self, *, tags: Sequence[str], urls: Sequence[str]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.purged.append(tuple(tags))

    async def close(self) -> None:
        self.closed = True


class Pager:
    """Somebody who is told."""

    def __init__(self, *failures: NotifyFailed) -> None:
        self.failures = list(failures)
        self.told: list[Notice] = []

    async def tell(self, notice: Notice) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.told.append(notice)

    async def close(self) -> None: ...


@asynccontextmanager
async def dispatching(
    world: World,
    purgers: Mapping[str, Cdn] = {},
    receivers: Mapping[str, Receiver] = {},
    settled: float = 0.0,
) -> AsyncIterator[Dispatch]:
    """A dispatch that runs."""
    dispatch = Dispatch(
        outbox=world.store.outbox, records=world.records, purgers=purgers, receivers=receivers, settled=settled
    )
    dispatch.start()
    try:
        yield dispatch
    finally:
        await dispatch.close()


async def heard(world: World, kind: str, count: int = 1) -> Notice:
    """The notice of that kind, once there are so many."""
    async with asyncio.timeout(20):
        while world.kinds().count(kind) < count:
            await asyncio.sleep(0.005)
    return [notice for notice in world.ear.notices if notice.kind == kind][-1]


async def settled(world: World) -> None:
    """Until nothing is due and nothing is left."""
    async with asyncio.timeout(20):
        while world.store.outbox.tasks:
            await asyncio.sleep(0.005)


def failing_task(world: World, *, attempts: int = 0, age: float = 0.0) -> Task:
    task = purge_task(PURGE, cause_id="n1", now=NOW - age)
    return Task(id=task.id, kind=task.kind, payload=task.payload, created=NOW - age, due=NOW, attempts=attempts)


async def test_a_purge_is_done_and_told_with_its_time() -> None:
    """One notice with the seconds since the revocation, and the task is gone."""
    world, cdn = World(), Cdn()
    await world.store.outbox.put([failing_task(world, age=1.5)])
    async with dispatching(world, {"edge": cdn}):
        notice = await heard(world, "purge.done")
        await settled(world)
    assert cdn.purged == [PURGE.tags]
    assert notice.subject == "cdn:edge"
    assert notice.facts["seconds"] == "1.500"
    assert notice.severity == "info"
    assert cdn.closed


async def test_what_a_cdn_got_anew_right_after_the_purge_goes_by_the_second() -> None:
    """It is purged at once; done is what was purged when every gateway must know."""
    world, cdn, again = World(), Cdn(), "purge-n1-edge-again"
    await world.store.outbox.put([failing_task(world)])
    async with dispatching(world, {"edge": cdn}, settled=2.0):
        async with asyncio.timeout(20):
            while list(world.store.outbox.tasks) != [again]:
                await asyncio.sleep(0.005)
        assert world.store.outbox.tasks[again].due == NOW + 2.0
        assert cdn.purged == [PURGE.tags]
        assert "purge.done" not in world.kinds()
        world.clock.now += 2.0
        notice = await heard(world, "purge.done")
        await settled(world)
    assert cdn.purged == [PURGE.tags, PURGE.tags]
    assert notice.facts["seconds"] == "2.000"


async def test_on_call_is_told_at_once_where_the_second_purge_is_useless() -> None:
    """That the first one went well delays nobody's word of it."""
    world, cdn = World(), Cdn()
    await world.store.outbox.put([failing_task(world)])
    async with dispatching(world, {"edge": cdn}, settled=2.0):
        async with asyncio.timeout(20):
            while "purge-n1-edge" in world.store.outbox.tasks:
                await asyncio.sleep(0.005)
        cdn.failures.append(PurgeFailed("The token is gone.", final=True))
        world.clock.now += 2.0
        assert (await heard(world, "purge.failed")).severity == "critical"


async def test_a_failure_is_tried_again_later() -> None:
    """The task stays, is due later, and succeeds then."""
    world, cdn = World(), Cdn(PurgeFailed("The CDN is away."))
    await world.store.outbox.put([failing_task(world)])
    async with dispatching(world, {"edge": cdn}):
        notice = await heard(world, "purge.failed")
        assert notice.severity == "warning"
        assert next(iter(world.store.outbox.tasks.values())).due > NOW
        world.clock.now += 10
        await heard(world, "purge.done")


async def test_the_word_of_the_cdn_about_when_is_kept() -> None:
    """Retry-After is the least pause."""
    world, cdn = World(), Cdn(PurgeFailed("Too many.", retry_after=77.0))
    await world.store.outbox.put([failing_task(world)])
    async with dispatching(world, {"edge": cdn}):
        await heard(world, "purge.failed")
    assert next(iter(world.store.outbox.tasks.values())).due == NOW + 77.0


@pytest.mark.parametrize("attempts", [0, 3, 10, 900])
async def test_pauses_grow_and_are_bounded(attempts: int) -> None:
    """Doubled each time, spread, and never above the longest."""
    world, cdn = World(), Cdn(PurgeFailed("The CDN is away."))
    await world.store.outbox.put([failing_task(world, attempts=attempts)])
    async with dispatching(world, {"edge": cdn}):
        await heard(world, "purge.failed")
    pause = next(iter(world.store.outbox.tasks.values())).due - NOW
    whole = min(LONGEST_PAUSE, 2.0 * 2 ** min(attempts, 16))
    assert whole / 2 <= pause <= whole


@pytest.mark.parametrize(
    ("attempts", "final", "severity"),
    [
        (0, False, "warning"),
        (0, True, "critical"),
        (ALARM_ATTEMPTS - 1, False, "critical"),
        (ALARM_ATTEMPTS, False, "warning"),
    ],
)
async def test_on_call_is_told_once_it_lasts_or_is_hopeless(attempts: int, final: bool, severity: str) -> None:
    """And not at every attempt: a critical failure is put into the outbox for people, others are in the log."""
    world, cdn = World(), Cdn(PurgeFailed("No.", final=final))
    pager = Pager()
    await world.store.outbox.put([failing_task(world, attempts=attempts)])
    async with dispatching(world, {"edge": cdn}, {"pager": Receiver(pager, "critical")}):
        assert (await heard(world, "purge.failed")).severity == severity
        async with asyncio.timeout(20):
            while len(world.store.outbox.tasks) > 1 or (severity == "critical" and not pager.told):
                await asyncio.sleep(0.005)
    assert [notice.kind for notice in pager.told] == (["purge.failed"] if severity == "critical" else [])


async def test_what_fails_for_a_day_is_given_up_aloud() -> None:
    """A critical notice names the tags, for people to purge by hand; only then the task is gone."""
    world, cdn, pager = World(), Cdn(PurgeFailed("Never.")), Pager()
    await world.store.outbox.put([failing_task(world, attempts=300, age=DEAD_SECONDS)])
    async with dispatching(world, {"edge": cdn}, {"pager": Receiver(pager, "critical")}):
        await heard(world, "purge.dead")
        await settled(world)
    assert [notice.kind for notice in pager.told] == ["purge.dead"]
    assert pager.told[0].facts["tags"] == "k-0123456789abcdef"


async def test_a_cdn_that_left_the_settings_is_missed_aloud() -> None:
    """Its purge is kept, and on-call is told at once."""
    world = World()
    await world.store.outbox.put([failing_task(world)])
    async with dispatching(world):
        notice = await heard(world, "purge.failed")
    assert notice.severity == "critical"
    assert "edge" in notice.detail
    assert any(task.kind == "purge" for task in world.store.outbox.tasks.values())


async def test_receivers_are_told_what_they_asked_for() -> None:
    """By severity; each once."""
    world, pager, siem = World(), Pager(), Pager()
    notices = [
        Notice(id="a", at=NOW, kind="revocation.added", severity="warning"),
        Notice(id="b", at=NOW, kind="revocation.added", severity="critical"),
    ]
    await world.store.outbox.put([notify_task(notice, now=NOW) for notice in notices])
    receivers = {"pager": Receiver(pager, "critical"), "siem": Receiver(siem, "info")}
    async with dispatching(world, receivers=receivers):
        await settled(world)
    assert [notice.id for notice in pager.told] == ["b"]
    assert sorted(notice.id for notice in siem.told) == ["a", "b"]


async def test_one_receiver_that_is_away_keeps_nobody_waiting() -> None:
    """The other one is told once, and the first as soon as it is back."""
    world, away, there = World(), Pager(NotifyFailed("Away.")), Pager()
    await world.store.outbox.put([notify_task(Notice(id="a", at=NOW, kind="x.y", severity="critical"), now=NOW)])
    receivers = {"away": Receiver(away, "critical"), "there": Receiver(there, "critical")}
    async with dispatching(world, receivers=receivers):
        await heard(world, "notify.failed")
        world.clock.now += 10
        await settled(world)
    assert len(away.told) == len(there.told) == 1


async def test_a_task_of_another_version_is_no_trap() -> None:
    """What cannot be read is told and kept until its day is over; the others are done."""
    world, cdn = World(), Cdn()
    broken = Task(id="x", kind="purge", payload=b"{", created=NOW, due=NOW)
    unknown = Task(id="y", kind="dance", payload=b"{}", created=NOW, due=NOW)
    await world.store.outbox.put([broken, unknown, failing_task(world)])
    async with dispatching(world, {"edge": cdn}):
        await heard(world, "purge.done")
        await heard(world, "purge.failed")
        await heard(world, "notify.failed")
    assert {"x", "y"} <= world.store.outbox.tasks.keys()


async def test_a_bug_in_one_task_ends_no_other() -> None:
    """An error that nobody foresaw counts as a failure."""
    world = World()

    class Broken(Cdn):
        async def purge(self, *, tags: Sequence[str], urls: Sequence[str]) -> None:
            raise RuntimeError("never foreseen")

    await world.store.outbox.put([failing_task(world)])
    async with dispatching(world, {"edge": Broken()}):
        notice = await heard(world, "purge.failed")
    assert "never foreseen" not in notice.detail


async def test_leaving_gives_no_task_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way when the gateway leaves stays in the outbox, and the next one does it."""
    world = World()
    begun = asyncio.Event()

    class Slow(Cdn):
        async def purge(self, *, tags: Sequence[str], urls: Sequence[str]) -> None:
            begun.set()
            await asyncio.Event().wait()

    await world.store.outbox.put([failing_task(world)])
    monkeypatch.setattr("countermark.control.dispatch.LEAVE_SECONDS", 0.0)
    async with dispatching(world, {"edge": Slow()}):
        await begun.wait()
    assert len(world.store.outbox.tasks) == 1
    world.clock.now += 200
    async with dispatching(world, {"edge": Cdn()}):
        await heard(world, "purge.done")
