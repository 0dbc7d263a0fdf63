"""A snapshot as Prometheus text or OpenMetrics, as the scraper's Accept says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import inf
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from countermark.telemetry.metrics import METRICS, PREFIX
from countermark.telemetry.tally import Series, Snapshot

Value = TypeVar("Value")


class _Families(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._counters = _by_name(snapshot.counters)
        self._gauges = _by_name(snapshot.gauges)
        self._histograms = _by_name(snapshot.histograms)

    def collect(self) -> Iterator[Metric]:
        for metric in METRICS.values():
            name = PREFIX + metric.name
            if metric.kind == "counter":
                counter = CounterMetricFamily(name, metric.help, labels=metric.labels)
                for labels, value in self._counters[metric.name]:
                    counter.add_metric(labels, value)
                yield counter
            elif metric.kind == "gauge":
                gauge = GaugeMetricFamily(name, metric.help, labels=metric.labels)
                for labels, value in self._gauges[metric.name]:
                    gauge.add_metric(labels, value)
                yield gauge
            else:
                histogram = HistogramMetricFamily(name, metric.help, labels=metric.labels)
                for labels, counts in self._histograms[metric.name]:
                    histogram.add_metric(labels, buckets=_cumulative(metric.buckets, counts), sum_value=counts[-1])
                yield histogram


def expose(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Body and content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _by_name(rows: Iterable[tuple[Series, Value]]) -> dict[str, list[tuple[tuple[str, ...], Value]]]:
    grouped: dict[str, list[tuple[tuple[str, ...], Value]]] = defaultdict(list)
    for series, value in rows:
        grouped[series[0]].append((series[1:], value))
    return grouped


def _cumulative(bounds: tuple[float, ...], counts: tuple[float, ...]) -> list[tuple[str, float]]:
    buckets = []
    so_far = 0.0
    for bound, count in zip((*bounds, inf), counts, strict=False):
        so_far += count
        buckets.append((_bound(bound), so_far))
    return buckets


def _bound(bound: float) -> str:
    return "+Inf" if bound == inf else repr(bound)
