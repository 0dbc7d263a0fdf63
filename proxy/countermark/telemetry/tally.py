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

_STATUS_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
_REFUSALS = frozenset({401, 403, 410})


class Snapshot(Struct, frozen=True, kw_only=True):
    """A tally as it stands. A histogram is its buckets' own counts (not cumulative), one for +Inf, then the sum."""

    counters: tuple[tuple[Series, float], ...] = ()
    gauges: tuple[tuple[Series, float], ...] = ()
    histograms: tuple[tuple[Series, tuple[float, ...]], ...] = ()


class Tally:
    """Counters and histograms of this process, and the values that are read when somebody asks."""

    def __init__(self) -> None:
        self._counters: dict[Series, float] = {}
        self._histograms: dict[Series, list[float]] = {}
        self._watched: dict[Series, Read] = {}

    def add(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count something."""
        series = (name, *labels)
        self._counters[series] = self._counters.get(series, 0) + amount

    def watch(self, name: str, *labels: str, read: Read) -> None:
        """Read a gauge, or a counter kept elsewhere, whenever a snapshot is taken."""
        self._watched[(name, *labels)] = read

    def count(self, event: RequestEvent) -> None:
        """Add one request."""
        counters = self._counters
        site, reason, status = event.site, event.reason, event.status
        series: Series = ("requests", site, event.dialect, _STATUS_CLASSES[status // 100], reason)
        counters[series] = counters.get(series, 0) + 1
        series = ("response_bytes", site)
        counters[series] = counters.get(series, 0) + event.bytes_out
        if event.key_id:
            # Only a good signature names a key, so the label is bounded by the keyring; sessions have a key each.
            series = ("key_uses", "session" if event.key_id.startswith("ses_") else event.key_id)
            counters[series] = counters.get(series, 0) + 1
        if event.cache:
            series = ("cache_results", site, event.cache)
            counters[series] = counters.get(series, 0) + 1
        self._observe(("request_seconds", event.cache), REQUEST_BUCKETS, event.duration)
        for stage, seconds in event.stages.items():
            self._observe(("stage_seconds", stage), STAGE_BUCKETS, seconds)
        if status in _REFUSALS:
            self.add("refusals", site, reason)
        if event.aborted:
            self.add("requests_aborted", site)
        if event.origin and "fetch" in event.stages:
            self.add("origin_requests", event.origin, _outcome(reason))
            self.add("origin_bytes", event.origin, amount=event.bytes_in)

    def count_notice(self, notice: Notice) -> None:
        """Add one notice."""
        self.add("notices", notice.kind, notice.severity)
        room, _, outcome = notice.kind.partition(".")
        if room == "purge":
            cdn = notice.facts["cdn"]
            self.add("purges", cdn, outcome)
            if outcome == "done":
                self._observe(("purge_seconds", cdn), PURGE_BUCKETS, float(notice.facts["seconds"]))

    def snapshot(self) -> Snapshot:
        watched = [(series, float(read())) for series, read in self._watched.items()]
        kept_elsewhere = tuple(row for row in watched if METRICS[row[0][0]].kind == "counter")
        return Snapshot(
            counters=(*self._counters.items(), *kept_elsewhere),
            gauges=tuple(row for row in watched if METRICS[row[0][0]].kind == "gauge"),
            histograms=tuple((series, tuple(counts)) for series, counts in self._histograms.items()),
        )

    def _observe(self, series: Series, buckets: tuple[float, ...], value: float) -> None:
        counts = self._histograms.get(series)
        if counts is None:
            counts = self._histograms[series] = [0.0] * (len(buckets) + 2)
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
