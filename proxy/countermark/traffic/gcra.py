"""Rates by GCRA, the generic cell rate algorithm (ITU-T I.371 annex A): one number a limit, no window edges.

The number is the theoretical arrival time (TAT): when the bucket will be empty again, in seconds.
"""

from __future__ import annotations

from math import ceil

from msgspec import Struct

_ROUNDING = 0.0005
"""The share of a request that is let in beyond the burst: unix seconds are floats in steps of a quarter of a microsecond, and
what rounding loses must not take the last request of a burst."""


class Limit(Struct, frozen=True, kw_only=True):
    """One ceiling that one request counts against.

    name       bounded label, such as client, session, address or template; told in RateLimit fields and metrics
    key        what is counted together, such as "client:acme"; any text
    interval   seconds between two requests at the steady rate
    burst      requests that may come at once, at least 1
    """

    name: str
    key: str
    interval: float
    burst: int


class Verdict(Struct, frozen=True):
    """Where a request stands at one limit: what remains now, seconds until the bucket is whole again, and seconds until
    one more is allowed (0 where it was)."""

    limit: Limit
    allowed: bool
    remaining: int
    reset: float
    retry_after: float


def advance(tat: float, now: float, limit: Limit) -> tuple[float, Verdict]:
    """The new TAT and the verdict on a request at `now`. A refused request leaves the TAT as it is.

    Times are seconds of one clock; a TAT in the far future, as after a clock that was set back, counts as a full bucket.
    """
    interval = limit.interval
    tolerance = interval * limit.burst
    filled = tat - now
    start = 0.0 if filled < 0.0 else tolerance if filled > tolerance else filled
    reset = start + interval
    most = tolerance + interval * _ROUNDING
    if reset > most:
        return tat, Verdict(limit, False, 0, start, reset - tolerance)
    return now + reset, Verdict(limit, True, int((most - reset) / interval), reset, 0.0)


def whole_seconds(seconds: float) -> int:
    """Rounded up, and at least one, for Retry-After (RFC 9110 §10.2.3)."""
    return max(1, ceil(seconds))
