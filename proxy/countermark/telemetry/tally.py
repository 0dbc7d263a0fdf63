"""The numbers of one process, and their sum over several.

A cached picture passes here in some microseconds, so an event is added to plain dictionaries. prometheus_client's
multiprocess files would take a lock and a memory-mapped write for each of some twenty values of a request; here a
worker sends the whole tally to the supervisor, which exposes the sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from msgspec import Struct

from countermark.core.events import Notice, RequestEvent
from countermark.telemetry.metrics import METRICS, PURGE_BUCKETS, REQUEST_BUCKETS, STAGE_BUCKETS

# A metric's name and the values of its labels.
Series = tuple[str, ...]
Read = Callable[[], float]
# Site, dialect, status, reason, key and cache of a request: what decides where it is counted.
Kind = tuple[str, str, int, str, str, str]

_STATUS_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
_REFUSALS = frozenset({401, 403, 410})


class Snapshot(Struct, frozen=True, kw_only=True):
    """A tally as it stands. A histogram is its buckets' own counts (not cumulative), one for +Inf, then the sum."""

    counters: tuple[tuple[Series, float], ...] = ()
    gauges: tuple[tuple[Series, float], ...] = ()
    histograms: tuple[tuple[Series, tuple[float, ...]], ...] = ()


class Rows(Struct, frozen=True):
    """Where requests of one kind are added: counters of requests, one of bytes, and the histogram of durations."""

    requests: tuple[list[float], ...]
    sent: list[float]
    seconds: list[float]


class Tally:
    """Counters and histograms of this process, and the values that are read when somebody asks."""

    def __init__(self) -> None:
        self._counters: dict[Series, list[float]] = {}
        self._histograms: dict[Series, list[float]] = {}
        self._watched: dict[Series, Read] = {}
        self._kinds: dict[Kind, Rows] = {}

    def add(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count something."""
        self._counter(name, *labels)[0] += amount

    def watch(self, name: str, *labels: str, read: Read) -> None:
        """Read a gauge, or a counter kept elsewhere, whenever a snapshot is taken."""
        self._watched[(name, *labels)] = read

    def count(self, event: RequestEvent) -> None:
        """Add one request."""
        # Only a good signature names a key, so the label is bounded by the keyring; sessions have a key each.
        key = "session" if event.key_id.startswith("ses_") else event.key_id
        kind = (event.site, event.dialect, event.status, event.reason, key, event.cache)
        rows = self._kinds.get(kind) or self._rows(kind)
        for counter in rows.requests:
            counter[0] += 1
        rows.sent[0] += event.bytes_out
        _add(rows.seconds, REQUEST_BUCKETS, event.duration)
        for stage, seconds in event.stages.items():
            _add(self._histogram(STAGE_BUCKETS, "stage_seconds", stage), STAGE_BUCKETS, seconds)
        if event.aborted:
            self.add("requests_aborted", event.site)
        if event.origin and "fetch" in event.stages:
            self.add("origin_requests", event.origin, _outcome(event.reason))
            self.add("origin_bytes", event.origin, amount=event.bytes_in)

    def count_notice(self, notice: Notice) -> None:
        """Add one notice."""
        self.add("notices", notice.kind, notice.severity)
        room, _, outcome = notice.kind.partition(".")
        if room == "purge":
            cdn = notice.facts["cdn"]
            self.add("purges", cdn, outcome)
            if outcome == "done":
                seconds = float(notice.facts["seconds"])
                _add(self._histogram(PURGE_BUCKETS, "purge_seconds", cdn), PURGE_BUCKETS, seconds)

    def snapshot(self) -> Snapshot:
        watched = [(series, float(read())) for series, read in self._watched.items()]
        kept_elsewhere = tuple(row for row in watched if METRICS[row[0][0]].kind == "counter")
        return Snapshot(
            counters=(*((series, count[0]) for series, count in self._counters.items()), *kept_elsewhere),
            gauges=tuple(row for row in watched if METRICS[row[0][0]].kind == "gauge"),
            histograms=tuple((series, tuple(counts)) for series, counts in self._histograms.items()),
        )

    def _rows(self, kind: Kind) -> Rows:
        site, dialect, status, reason, key, cache = kind
        counters = [self._counter("requests", site, dialect, _STATUS_CLASSES[status // 100], reason)]
        if key:
            counters.append(self._counter("key_uses", key))
        if cache:
            counters.append(self._counter("cache_results", site, cache))
        if status in _REFUSALS:
            counters.append(self._counter("refusals", site, reason))
        seconds = self._histogram(REQUEST_BUCKETS, "request_seconds", cache)
        rows = self._kinds[kind] = Rows(tuple(counters), self._counter("response_bytes", site), seconds)
        return rows

    def _counter(self, *series: str) -> list[float]:
        return self._counters.setdefault(series, [0])

    def _histogram(self, buckets: tuple[float, ...], *series: str) -> list[float]:
        return self._histograms.setdefault(series, [0.0] * (len(buckets) + 2))


def _add(counts: list[float], buckets: tuple[float, ...], value: float) -> None:
    counts[bisect_left(buckets, value)] += 1
    counts[-1] += value


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of several processes."""
    counters: dict[Series, float] = {}
    gauges: dict[Series, float] = {}
    histograms: dict[Series, tuple[float, ...]] = {}
    for snapshot in snapshots:
        for series, value in snapshot.counters:
            counters[series] = counters.get(series, 0) + value
        for series, value in snapshot.gauges:
            gauges[series] = gauges.get(series, 0) + value
        for series, counts in snapshot.histograms:
            held = histograms.get(series)
            histograms[series] = counts if held is None else tuple(a + b for a, b in zip(held, counts, strict=True))
    return Snapshot(
        counters=tuple(counters.items()), gauges=tuple(gauges.items()), histograms=tuple(histograms.items())
    )


def departed(snapshots: Iterable[Snapshot]) -> Snapshot:
    """What stays of processes that ended: everything that must never go backwards, and no gauges."""
    whole = total(snapshots)
    return Snapshot(counters=whole.counters, histograms=whole.histograms)


def _outcome(reason: str) -> str:
    return reason if reason.startswith("origin") else "ok"
