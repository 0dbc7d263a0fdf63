"""Notices below critical that somebody outside wants to hear of, put into the outbox."""

from __future__ import annotations

import asyncio
from collections import deque

from countermark.core.errors import StoreUnavailable
from countermark.core.events import Notice, RequestEvent, Severity
from countermark.core.tasks import notify_task
from countermark.ports import Outbox, Telemetry

WAITING = 1000

# What changes who may see what, and what is done about attacks. What is told at every refused request stays in the log: it
# would let who attacks fill the outbox. Failures to tell are not told in turn.
_ROOMS = frozenset({"revocation", "key", "session", "address", "configuration", "purge"})
_RANKS: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


class Relay:
    """Telemetry that also puts notices from a severity on into the outbox, in the background.

    It gives no promise; the log has them all. A critical notice is put by whoever tells it, and acknowledged only then.
    """

    def __init__(self, telemetry: Telemetry, outbox: Outbox, severity: Severity) -> None:
        self._telemetry = telemetry
        self._outbox = outbox
        self._least = _RANKS[severity]
        self._waiting: deque[Notice] = deque(maxlen=WAITING)
        self._putting: asyncio.Task[None] | None = None

    def tell(self, event: RequestEvent) -> None:
        self._telemetry.tell(event)

    def note(self, notice: Notice) -> None:
        self._telemetry.note(notice)
        if notice.severity == "critical" or _RANKS[notice.severity] < self._least:
            return
        if notice.kind.partition(".")[0] not in _ROOMS:
            return
        self._waiting.append(notice)
        if self._putting is None or self._putting.done():
            self._putting = asyncio.get_running_loop().create_task(self._put())

    async def _put(self) -> None:
        while self._waiting:
            notices = tuple(self._waiting)
            self._waiting.clear()
            try:
                await self._outbox.put([notify_task(notice, now=notice.at) for notice in notices])
            except StoreUnavailable:
                return
