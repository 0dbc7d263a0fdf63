"""Every metric, declared once. The page docs/metrics.md and the exposition are made of this table.

Labels are bounded: their values come from the configuration or from the code, never from a request's path, address,
object key or token. A key id is counted only once a good signature has shown that it is one of the keyring's.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PREFIX = "countermark_"

Kind = Literal["counter", "gauge", "histogram"]

REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PURGE_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
STAGE_BUCKETS = (0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


class Metric(Struct, frozen=True, kw_only=True):
    """One family. A counter's name carries no `_total`; the exposition adds it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_TABLE = (
    Metric(
        name="requests",
        kind="counter",
        help="Requests answered, by status class and by the reason of an error.",
        labels=("site", "dialect", "status", "reason"),
    ),
    Metric(
        name="request_seconds",
        kind="histogram",
        help="Time from a whole request header to the last byte handed to the kernel, by cache result.",
        labels=("cache",),
        buckets=REQUEST_BUCKETS,
    ),
    Metric(
        name="stage_seconds",
        kind="histogram",
        help="Time spent in one stage of a request.",
        labels=("stage",),
        buckets=STAGE_BUCKETS,
    ),
    Metric(name="cache_results", kind="counter", help="Lookups of finished pictures.", labels=("site", "result")),
    Metric(name="refusals", kind="counter", help="Requests answered with 401, 403 or 410.", labels=("site", "reason")),
    Metric(
        name="origin_requests",
        kind="counter",
        help="Requests that went to an origin; the outcome is ok or the reason of the error.",
        labels=("origin", "outcome"),
    ),
    Metric(
        name="notices",
        kind="counter",
        help="Changes of who may see what, and signs of attacks, by kind.",
        labels=("kind", "severity"),
    ),
    Metric(
        name="key_uses",
        kind="counter",
        help="Requests with a good signature by the key that made it; session keys count as one, `session`.",
        labels=("key_id",),
    ),
    Metric(
        name="purges",
        kind="counter",
        help="Attempts to have a CDN forget what was revoked: done, failed (tried again) or dead (given up).",
        labels=("cdn", "outcome"),
    ),
    Metric(
        name="purge_seconds",
        kind="histogram",
        help="Time from a revocation to a CDN's word that it has forgotten, the repetition included.",
        labels=("cdn",),
        buckets=PURGE_BUCKETS,
    ),
    Metric(name="origin_bytes", kind="counter", help="Bytes read from origins.", labels=("origin",)),
    Metric(name="response_bytes", kind="counter", help="Bytes of answers' bodies.", labels=("site",)),
    Metric(name="requests_aborted", kind="counter", help="Answers that did not reach their end.", labels=("site",)),
    Metric(name="connections", kind="gauge", help="Open client connections by what they do.", labels=("state",)),
    Metric(name="connections_accepted", kind="counter", help="Client connections accepted."),
    Metric(
        name="connections_ended",
        kind="counter",
        help="Client connections that the guard ended, by cause.",
        labels=("cause",),
    ),
    Metric(name="log_lines_dropped", kind="counter", help="Log lines dropped because nobody read them fast enough."),
    Metric(name="render_children", kind="gauge", help="Render children alive, by what they do.", labels=("state",)),
    Metric(name="render_queue", kind="gauge", help="Renders that wait for a child."),
    Metric(name="renders", kind="counter", help="Renders by result; shed ones waited too long.", labels=("result",)),
    Metric(name="render_deaths", kind="counter", help="Render children that ended early, by cause.", labels=("cause",)),
    Metric(name="parcel_bytes", kind="gauge", help="Bytes of originals held for rendering."),
    Metric(name="cache_bytes", kind="gauge", help="Bytes of finished pictures kept in memory."),
    Metric(name="store_away", kind="gauge", help="Workers whose store did not answer the last time."),
    Metric(name="revocations_stale", kind="gauge", help="Workers whose copy of the revocations may be behind."),
    Metric(
        name="disk_cache",
        kind="counter",
        help="What the disk cache did: hits, misses, puts, errors, torn entries, entries declined and evicted.",
        labels=("event",),
    ),
    Metric(name="render_starts", kind="counter", help="Render children started."),
    Metric(name="workers", kind="gauge", help="Worker processes by state.", labels=("state",)),
    Metric(name="worker_deaths", kind="counter", help="Workers that died without being told to."),
    Metric(
        name="cautions",
        kind="gauge",
        help="Weaknesses that settings and keys name, as `countermark check` tells them: legacy_hash and others.",
        labels=("name",),
    ),
    Metric(name="reloads", kind="counter", help="Reloads by result.", labels=("result",)),
    Metric(name="build_info", kind="gauge", help="Always 1; the version is the label.", labels=("version",)),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def document() -> str:
    """The page docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` on the admin port, summed over the workers. Made from `proxy/countermark/telemetry/metrics.py`.",
        "",
        "| name | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for metric in METRICS.values():
        name = f"{PREFIX}{metric.name}{'_total' if metric.kind == 'counter' else ''}"
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
