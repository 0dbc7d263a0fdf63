"""The refusal that a ceiling gives."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from countermark.core.errors import RateLimited
from countermark.traffic.gcra import Verdict, whole_seconds


def limited(verdicts: Iterable[Verdict]) -> RateLimited:
    """The error for a request of which at least one verdict is a refusal; the one that makes it wait longest is told."""
    worst = max((verdict for verdict in verdicts if not verdict.allowed), key=attrgetter("retry_after"))
    wait = whole_seconds(worst.retry_after)
    return RateLimited(
        f"More requests than the {worst.limit.name} limit allows; try again after {wait} s.",
        retry_after=wait,
        limit=worst.limit.name,
    )
