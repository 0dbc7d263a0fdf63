"""Notices that a receiver asked for reach the outbox; an attack cannot fill it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from countermark.core.errors import StoreUnavailable
from countermark.core.events import Notice, RequestEvent, Severity
from countermark.core.tasks import Task, read_notice
from countermark.telemetry.relay import Relay


class Ear:
    """Telemetry that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def tell(self, event: RequestEvent) -> None:
        self.heard.append(event.id)

    def note(self, notice: Notice) -> None:
        self.heard.append(notice.id)


class Box:
    """The half of an outbox that is filled."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.puts = 0
        self.away = False

    async def put(self, tasks: Sequence[Task]) -> None:
        self.puts += 1
        if self.away:
            raise StoreUnavailable("The store cannot be asked.")
        self.notices += [read_notice(task).id for task in tasks]


def notice(id: str, kind: str = "revocation.added", severity: Severity = "info") -> Notice:
    return Notice(id=id, at=1.0, kind=kind, severity=severity)


async def put(box: Box, count: int) -> None:
    async with asyncio.timeout(20):
        while box.puts < count:
            await asyncio.sleep(0)


async def test_what_is_asked_for_is_put_once() -> None:
    """From the severity on; critical notices are put by those who tell them; refusals stay in the log."""
    ear, box = Ear(), Box()
    relay = Relay(ear, box, "warning")  # type: ignore[arg-type]
    relay.note(notice("a"))
    relay.note(notice("b", severity="warning"))
    relay.note(notice("c", severity="critical"))
    relay.note(notice("d", kind="grant.refused", severity="warning"))
    relay.note(notice("e", kind="notify.failed", severity="warning"))
    await put(box, 1)
    assert box.notices == ["b"]
    assert ear.heard == ["a", "b", "c", "d", "e"]


async def test_a_store_that_is_away_costs_no_more_than_the_notice() -> None:
    """The log has it, and the next one is put again."""
    ear, box = Ear(), Box()
    relay = Relay(ear, box, "info")  # type: ignore[arg-type]
    box.away = True
    relay.note(notice("a"))
    await put(box, 1)
    box.away = False
    await asyncio.sleep(0)
    relay.note(notice("b"))
    await put(box, 2)
    assert box.notices == ["b"]
    assert ear.heard == ["a", "b"]
