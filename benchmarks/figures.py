"""The arithmetic of the figures: percentiles, ratios of alternating rounds, and whether a goal was reached. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the samples lie, by linear interpolation. Raises ValueError on none."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    position = share * (len(ordered) - 1)
    lower = math.floor(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (position - lower)


def median(samples: Sequence[float]) -> float:
    """The middle value."""
    return percentile(samples, 0.5)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """One ratio for each pair of rounds; a round of which one side measured nothing (0 or nan) is left out."""
    pairs = zip(ours, theirs, strict=True)
    return tuple(a / b for a, b in pairs if math.isfinite(a) and math.isfinite(b) and b > 0)


def longest_gap(moments: Sequence[float], start: float, end: float) -> float:
    """The longest time between two neighbouring moments within start..end, the two ends included."""
    inside = sorted(moment for moment in moments if start <= moment <= end)
    edges = [start, *inside, end]
    return max(b - a for a, b in itertools.pairwise(edges))


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a figure's median is held against."""

    kind: Literal["at most", "at least", "exactly"]
    bound: float

    def reached_by(self, value: float) -> bool:
        """Whether the value satisfies the bound; a value that is not a number never does."""
        if math.isnan(value):
            return False
        if self.kind == "exactly":
            return value == self.bound
        return value <= self.bound if self.kind == "at most" else value >= self.bound

    def __str__(self) -> str:
        sign = {"at most": "≤", "at least": "≥", "exactly": "="}[self.kind]
        return f"{sign} {self.bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a result. `samples` holds one value for each round; the value that counts is their median.

    `worst` makes the value that counts the worst round instead (the highest), for promises without exception.
    """

    label: str
    unit: str
    samples: tuple[float, ...]
    goal: Goal | None = None
    worst: bool = False

    @property
    def value(self) -> float:
        """The median round, or the highest one; nan where no round measured anything."""
        if not self.samples:
            return math.nan
        return max(self.samples) if self.worst else median(self.samples)

    @property
    def low(self) -> float:
        """The 10th percentile of the rounds: neighbours on the machine add noise only upwards."""
        return percentile(self.samples, 0.1) if self.samples else math.nan

    @property
    def spread(self) -> float:
        """How far the rounds lie apart: (p90 - p10) / median, 0 where the median is 0."""
        if not self.samples or not median(self.samples):
            return 0.0
        return (percentile(self.samples, 0.9) - self.low) / abs(median(self.samples))

    @property
    def reached(self) -> bool | None:
        """None where no goal is set."""
        return None if self.goal is None else self.goal.reached_by(self.value)
