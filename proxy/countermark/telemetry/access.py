"""One line a request. Formatted in batches, written by a thread, bounded everywhere: a log that nobody reads, or a flood
of refused requests, must not slow the gateway or fill its memory."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from countermark.core.events import RequestEvent
from countermark.identity.session import KEY_ID

FLUSH_SECONDS = 0.05
BATCH = 1000

# Lines a second for refused requests of one reason; the rest of that second is told as one line with their number.
REFUSED_PER_SECOND = 100

_BLOCKS = 64


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is written of a request. Query and proven credentials are not among it. Stages are microseconds, too.

    template    name and version of the policy that the request came under
    retention   seconds after which the line is to be deleted; left out where nobody said
    country to preset   only where the policy asks for full records
    """

    time: str
    level: str
    event: str
    id: str
    status: int
    method: str = ""
    host: str = ""
    path: str = ""
    client: str = ""
    site: str = ""
    dialect: str = ""
    key_id: str = ""
    grant: str = ""
    template: str = ""
    retention: int = 0
    country: str = ""
    region: str = ""
    user: str = ""
    client_id: str = ""
    session: str = ""
    jti: str = ""
    context: str = ""
    preset: str = ""
    reason: str = ""
    detail: str = ""
    cache: str = ""
    origin: str = ""
    format: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    microseconds: int = 0
    aborted: bool = False
    stages: dict[str, int] = {}


class Writer:
    """Writes blocks to a descriptor from a thread of its own. A full queue drops a block and counts its lines."""

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._queue: queue.Queue[bytes] = queue.Queue(_BLOCKS)
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def write(self, block: bytes) -> None:
        try:
            self._queue.put_nowait(block)
        except queue.Full:
            self.dropped += block.count(b"\n")

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        try:
            self._queue.put(b"", timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while block := self._queue.get():
            self._write_all(block)

    def _write_all(self, block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self.dropped += bytes(rest).count(b"\n")


class AccessLog:
    """Collects events of a loop and writes them as lines, at the latest FLUSH_SECONDS later."""

    def __init__(self, write: Callable[[bytes], None], *, shape: Literal["json", "console"]) -> None:
        self._write = write
        self._format = _encode if shape == "json" else _console
        self._loop = asyncio.get_running_loop()
        self._pending: list[RequestEvent] = []
        self._second = 0
        self._refused: Counter[str] = Counter()

    def tell(self, event: RequestEvent) -> None:
        pending = self._pending
        pending.append(event)
        if len(pending) == 1:
            self._loop.call_later(FLUSH_SECONDS, self.flush)
        elif len(pending) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if not self._pending:
            return
        events, self._pending = self._pending, []
        lines = []
        for event in events:
            second = int(event.received)
            if second != self._second:
                lines += self._suppressed()
                self._second = second
            if self._is_wanted(event):
                lines.append(self._format(_line(event)))
        lines.append(b"")
        self._write(b"\n".join(lines))

    def close(self) -> None:
        self.flush()
        lines = self._suppressed()
        if lines:
            self._write(b"\n".join([*lines, b""]))

    def _is_wanted(self, event: RequestEvent) -> bool:
        if not 400 <= event.status < 500:
            return True
        self._refused[event.reason] += 1
        return self._refused[event.reason] <= REFUSED_PER_SECOND

    def _suppressed(self) -> list[bytes]:
        lines = []
        for reason, count in self._refused.items():
            if count > REFUSED_PER_SECOND:
                summary = {
                    "time": _moment(self._second),
                    "level": "warning",
                    "event": "requests not logged",
                    "reason": reason,
                    "count": count - REFUSED_PER_SECOND,
                }
                lines.append(msgspec.json.encode(summary))
        self._refused.clear()
        return lines


_encode = msgspec.json.Encoder().encode


def _line(event: RequestEvent) -> Line:
    """As much of an event as its policy wants written down."""
    audit = event.audit
    line = Line(
        time=_moment(event.received),
        level="error" if event.status >= 500 else "info",
        event="request",
        id=event.id,
        status=event.status,
        method=event.method,
        host=event.host,
        path=audit.path or event.path,
        client=event.client,
        site=event.site,
        dialect=event.dialect,
        key_id=event.key_id,
        grant=event.grant,
        template=audit.template,
        retention=audit.retention.at(event.place),
        reason=event.reason,
        detail=event.detail,
        cache=event.cache,
        origin=event.origin,
        format=event.format,
        bytes_in=event.bytes_in,
        bytes_out=event.bytes_out,
        microseconds=int(event.duration * 1e6),
        aborted=event.aborted,
        stages={stage: int(seconds * 1e6) for stage, seconds in event.stages.items()},
    )
    if audit.detail == "brief":
        return _brief(line)
    return _full(line, event) if audit.detail == "full" else line


def _brief(line: Line) -> Line:
    """Without what tells who asked for what: a session's key is called by the session, and details may name addresses."""
    key_id = "" if KEY_ID.fullmatch(line.key_id) else line.key_id
    return replace(line, path="", client="", key_id=key_id, grant="", detail="")


def _full(line: Line, event: RequestEvent) -> Line:
    audit = event.audit
    return replace(
        line,
        country=event.place.country,
        region=event.place.region,
        user=audit.user,
        client_id=audit.client_id,
        session=audit.session,
        jti=audit.jti,
        context=audit.context,
        preset=audit.preset,
    )


def _console(line: Line) -> bytes:
    parts = [
        f"{line.time} {line.status} {line.method} {line.host}{line.path}",
        f"{line.microseconds / 1000:.1f}ms",
        line.cache,
        line.reason,
        line.detail,
        line.client,
        line.id,
    ]
    # A line break in a detail would let a client write log lines of its own.
    return " ".join(part for part in parts if part).encode("unicode_escape")


def _moment(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@lru_cache(4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
