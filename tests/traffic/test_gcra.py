"""GCRA: a burst at once, then one an interval, with no window edges to slip through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from countermark.traffic.gcra import Limit, advance, whole_seconds

NOW = 1_700_000_000.0


def limit(interval: float = 2.0, burst: int = 3) -> Limit:
    return Limit(name="client", key="client:acme", interval=interval, burst=burst)


def test_a_burst_passes_and_the_next_one_is_told_how_long_to_wait() -> None:
    """Three at once, the fourth two seconds later."""
    tat, remaining = 0.0, []
    for _ in range(3):
        tat, verdict = advance(tat, NOW, limit())
        assert verdict.allowed
        remaining.append(verdict.remaining)
    assert remaining == [2, 1, 0]
    after, refused = advance(tat, NOW, limit())
    assert (after, refused.allowed, refused.retry_after) == (tat, False, 2.0)
    assert advance(tat, NOW + 2, limit())[1].allowed


@given(st.floats(1.7e9, 1.9e9), st.integers(1, 3600), st.integers(1, 60))
def test_a_whole_burst_passes_at_any_moment(now: float, per_minute: int, burst: int) -> None:
    """Rounding of clocks takes nobody's last request."""
    one, tat = limit(60 / per_minute, burst), 0.0
    for remaining in reversed(range(burst)):
        tat, verdict = advance(tat, now, one)
        assert (verdict.allowed, verdict.remaining) == (True, remaining)
    assert not advance(tat, now, one)[1].allowed


def test_an_idle_bucket_is_whole_again() -> None:
    """What was used long ago counts for nothing."""
    tat, _ = advance(NOW, NOW, limit())
    assert advance(tat, NOW + 100, limit())[1].remaining == 2


def test_a_clock_that_was_set_back_blocks_for_one_window_at_most() -> None:
    """A TAT far in the future is a full bucket and no more."""
    _, verdict = advance(NOW + 10**6, NOW, limit())
    assert not verdict.allowed
    assert verdict.retry_after <= 2.0


@given(st.floats(0.001, 100), st.integers(1, 50), st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200))
def test_no_pattern_of_requests_gets_more_than_burst_and_rate(interval: float, burst: int, gaps: list[float]) -> None:
    """In any time t, at most burst + t / interval are let in."""
    one = limit(interval, burst)
    tat, now, allowed = 0.0, NOW, 0
    for gap in gaps:
        now += gap
        tat, verdict = advance(tat, now, one)
        allowed += verdict.allowed
    assert allowed <= burst + (now - NOW) / interval + 1e-3 * len(gaps)


def test_retry_after_is_never_zero() -> None:
    """A client that is told 0 would come back at once."""
    assert [whole_seconds(text) for text in (0.0, 0.2, 1.0, 1.1)] == [1, 1, 1, 2]
