"""Counting events, and the sum over processes."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from countermark.core.events import RequestEvent
from countermark.telemetry.exposition import expose
from countermark.telemetry.metrics import METRICS, document
from countermark.telemetry.tally import Snapshot, Tally, departed, total

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def event(**fields: object) -> RequestEvent:
    plain = {
        "id": "a",
        "site": "shop",
        "dialect": "native",
        "status": 200,
        "cache": "miss",
        "origin": "photos",
        "bytes_in": 5000,
        "bytes_out": 1000,
        "duration": 0.02,
        "stages": {"fetch": 0.01, "render": 0.005},
    }
    return RequestEvent(**{**plain, **fields})  # type: ignore[arg-type]


def values(snapshot: Snapshot) -> Values:
    """Every sample as Prometheus reads it."""
    text = expose(snapshot, "")[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def value(snapshot: Snapshot, name: str, **labels: str) -> float:
    return values(snapshot)[f"countermark_{name}", frozenset(labels.items())]


def test_a_request_is_counted_in_every_family_that_it_concerns() -> None:
    """One event, read back through Prometheus' own parser."""
    tally = Tally()
    tally.count(event())
    tally.count(event(status=502, reason="origin_unreachable", bytes_in=10))
    tally.count(event(status=403, reason="signature_invalid", cache="", origin="", stages={}, bytes_out=200))
    tally.count(event(aborted=True))
    got = tally.snapshot()
    assert value(got, "requests_total", site="shop", dialect="native", status="2xx", reason="") == 2
    assert value(got, "requests_total", site="shop", dialect="native", status="4xx", reason="signature_invalid") == 1
    assert value(got, "refusals_total", site="shop", reason="signature_invalid") == 1
    assert value(got, "cache_results_total", site="shop", result="miss") == 3
    assert value(got, "origin_requests_total", origin="photos", outcome="ok") == 2
    assert value(got, "origin_requests_total", origin="photos", outcome="origin_unreachable") == 1
    assert value(got, "origin_bytes_total", origin="photos") == 10_010
    assert value(got, "response_bytes_total", site="shop") == 3200
    assert value(got, "requests_aborted_total", site="shop") == 1
    assert value(got, "stage_seconds_count", stage="render") == 3


def test_histograms_have_the_buckets_of_prometheus() -> None:
    """Cumulative, a value on a bound inside it, +Inf the same as the count."""
    tally = Tally()
    for seconds in (0.0005, 0.02, 0.025, 99.0):
        tally.count(event(duration=seconds, stages={}))
    got = tally.snapshot()
    assert value(got, "request_seconds_bucket", cache="miss", le="0.0005") == 1
    assert value(got, "request_seconds_bucket", cache="miss", le="0.025") == 3
    assert value(got, "request_seconds_bucket", cache="miss", le="30.0") == 3
    assert value(got, "request_seconds_bucket", cache="miss", le="+Inf") == 4
    assert value(got, "request_seconds_count", cache="miss") == 4
    assert value(got, "request_seconds_sum", cache="miss") == 0.0005 + 0.02 + 0.025 + 99.0


def test_the_sum_over_processes_is_the_sum_of_everything() -> None:
    """Two workers' numbers are those of one that did all the work."""
    one, two, both = Tally(), Tally(), Tally()
    for tally in (one, both):
        tally.count(event(duration=0.25))
    for tally in (two, both):
        tally.count(event(duration=0.5, status=404, reason="original_missing"))
    assert values(total([one.snapshot(), two.snapshot()])) == values(both.snapshot())


def test_what_a_dead_process_counted_stays_and_what_it_held_goes() -> None:
    """Counters and histograms never go backwards; gauges are of the living."""
    tally = Tally()
    tally.count(event())
    tally.watch("connections", "idle", read=lambda: 7)
    tally.watch("connections_accepted", read=lambda: 3)
    rest = departed([tally.snapshot()])
    assert value(rest, "response_bytes_total", site="shop") == 1000
    assert value(rest, "connections_accepted_total") == 3
    assert value(rest, "request_seconds_count", cache="miss") == 1
    assert rest.gauges == ()


def test_a_watched_value_is_read_when_asked() -> None:
    """Not when it was registered."""
    held = [1.0]
    tally = Tally()
    tally.watch("render_queue", read=lambda: held[0])
    held[0] = 5.0
    assert value(tally.snapshot(), "render_queue") == 5


def test_openmetrics_is_given_to_those_who_ask_for_it() -> None:
    """By Accept, ending with # EOF."""
    tally = Tally()
    tally.count(event())
    body, content_type = expose(tally.snapshot(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    names = {family.name for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert "countermark_requests" in names
    assert expose(tally.snapshot(), "text/html")[1].startswith("text/plain")


def test_a_million_paths_make_no_new_series() -> None:
    """Labels come from configuration and code only."""
    tally = Tally()
    tally.count(event(key_id="ses_0.1"))
    before = len(values(tally.snapshot()))
    for number in range(1000):
        tally.count(
            event(path=f"/{number}", client=f"c{number}", id=str(number), host=str(number), key_id=f"ses_{number}.1")
        )
    assert len(values(tally.snapshot())) == before


def test_keys_are_counted_and_all_sessions_are_one() -> None:
    """Ids of the keyring are few; each session has a key of its own."""
    tally = Tally()
    for key_id in ("k1", "k1", "k2", *(f"ses_{number}.1" for number in range(100)), ""):
        tally.count(event(key_id=key_id))
    uses = {series[1]: count for series, count in tally.snapshot().counters if series[0] == "key_uses"}
    assert uses == {"k1": 2, "k2": 1, "session": 100}


def test_the_metrics_page_is_current() -> None:
    """docs/metrics.md is made of the table."""
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == document()
    assert all(metric.help.endswith(".") for metric in METRICS.values())
