"""Telemetry: each request's event goes to the metrics and to the log."""

from __future__ import annotations

import sys

import structlog
from msgspec.structs import asdict

from countermark.core.events import Notice, RequestEvent
from countermark.settings.model import LogSettings
from countermark.telemetry import log
from countermark.telemetry.access import AccessLog, Writer
from countermark.telemetry.tally import Read, Snapshot, Tally

CLOSE_SECONDS = 2.0

_LEVELS = {"info": "info", "warning": "warning", "critical": "error"}

log_notice = structlog.get_logger("countermark.notice")


class EventSink:
    """The Telemetry of one process. Made inside the running loop."""

    def __init__(self, settings: LogSettings) -> None:
        self._tally = Tally()
        self._writer: Writer | None = None
        self._access: AccessLog | None = None
        if settings.requests and settings.level in ("debug", "info"):
            self._writer = writer = Writer(sys.stderr.fileno())
            self._access = AccessLog(writer.write, shape=log.shape(settings))
            self._tally.watch("log_lines_dropped", read=lambda: writer.dropped)

    def tell(self, event: RequestEvent) -> None:
        self._tally.count(event)
        if self._access is not None:
            self._access.tell(event)

    def note(self, notice: Notice) -> None:
        self._tally.count_notice(notice)
        facts = {name: value for name, value in asdict(notice).items() if value not in ("", {})}
        getattr(log_notice, _LEVELS[notice.severity])("notice", **facts)

    def add(self, name: str, *labels: str) -> None:
        """One more of a counter; its name and labels stand in `metrics.METRICS`."""
        self._tally.add(name, *labels)

    def watch(self, name: str, *labels: str, read: Read) -> None:
        """Expose a gauge, or a counter that is kept elsewhere; its name and labels stand in `metrics.METRICS`."""
        self._tally.watch(name, *labels, read=read)

    def snapshot(self) -> Snapshot:
        return self._tally.snapshot()

    def close(self) -> None:
        """Write the last lines."""
        if self._access is not None and self._writer is not None:
            self._access.close()
            self._writer.close(CLOSE_SECONDS)
