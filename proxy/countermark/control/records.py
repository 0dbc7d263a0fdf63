"""Each change is told once: a notice for log, metrics and SIEM, and tasks for whom it reaches outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from countermark.core.encoding import base64url
from countermark.core.events import Notice, Severity
from countermark.core.tasks import Purge, notify_task, purge_task
from countermark.ports import Outbox, Telemetry

Random = Callable[[int], bytes]
"""So many unpredictable bytes."""

Clock = Callable[[], float]
"""Unix seconds."""


class Records:
    """Notices and what follows from them; `clock` and `random` are those of all use cases."""

    def __init__(self, *, telemetry: Telemetry, outbox: Outbox, clock: Clock, random: Random) -> None:
        self._telemetry = telemetry
        self._outbox = outbox
        self.clock = clock
        self.random = random

    def note(
        self,
        kind: str,
        *,
        actor: str,
        subject: str,
        severity: Severity = "info",
        detail: str = "",
        facts: dict[str, str] | None = None,
    ) -> Notice:
        """Tell a change."""
        notice = Notice(
            id=base64url(self.random(12)),
            at=self.clock(),
            kind=kind,
            severity=severity,
            actor=actor,
            subject=subject,
            detail=detail,
            facts={name: fact for name, fact in (facts or {}).items() if fact},
        )
        self._telemetry.note(notice)
        return notice

    async def follow_up(self, notice: Notice, purges: Sequence[Purge]) -> None:
        """Have CDNs forget what the notice is about, and on-call told where it is critical. Raises StoreUnavailable."""
        now = self.clock()
        tasks = [purge_task(purge, cause_id=notice.id, now=now) for purge in purges]
        if notice.severity == "critical":
            tasks.append(notify_task(notice, now=now))
        if tasks:
            await self._outbox.put(tasks)
