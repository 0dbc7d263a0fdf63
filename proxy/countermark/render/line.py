"""Who waits for a render child, and who is told to come back later.

The rule is by delay, not by length. While the line was empty a moment ago, whoever joins may wait for up to a bound, so that
a short burst is served whole. When it has not been empty for as long as that bound, the overload is lasting: then
nobody waits longer than the target, except the first few in line, who keep the children busy. (The idea is that of
CoDel, RFC 8289, in the form for request queues of "Fail at Scale", ACM Queue 13/8, 2015.)
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Generic, TypeVar

from countermark.core.errors import Overloaded

Waiter = TypeVar("Waiter")

_BOUND_TARGETS = 30.0
_BOUND_LEAST = 1.0


class Line(Generic[Waiter]):
    """First come, first served. `now` is monotonic seconds, given by the caller; waiters are compared by identity.

    target   seconds that a render may keep waiting while the overload lasts
    spare    as many waiters at the head stay even then; one for each child
    """

    def __init__(self, *, target: float, spare: int) -> None:
        self.bound = max(_BOUND_LEAST, _BOUND_TARGETS * target)
        self._target = target
        self._spare = spare
        self._joined: OrderedDict[Waiter, float] = OrderedDict()
        self._empty_at = 0.0

    def __len__(self) -> int:
        return len(self._joined)

    def join(self, waiter: Waiter, now: float) -> None:
        """Stand at the end. Raises Overloaded when overload lasts and even the head has waited beyond the target."""
        if not self._joined:
            self._empty_at = now
        elif self._lasting(now) and len(self) >= self._spare and now - self._head() > self._target:
            raise shed(now - self._head())
        self._joined[waiter] = now

    def first(self) -> Waiter | None:
        """The head, who stays in line; None when it is empty."""
        return next(iter(self._joined), None)

    def leave(self, waiter: Waiter) -> None:
        """Give up one's place; nothing happens to those who have none."""
        self._joined.pop(waiter, None)

    def turn_away(self, now: float) -> list[tuple[Waiter, float]]:
        """All whose patience is over, with the seconds that they waited. They leave the line."""
        lasting = self._lasting(now)
        late = [
            (waiter, now - joined)
            for place, (waiter, joined) in enumerate(self._joined.items())
            if now - joined >= (self._target if lasting and place >= self._spare else self.bound)
        ]
        for waiter, _ in late:
            del self._joined[waiter]
        return late

    def next_turning(self, now: float) -> float | None:
        """When `turn_away` has to be asked next; None while nobody waits."""
        if not self._joined:
            return None
        if not self._lasting(now):
            return self._empty_at + self.bound
        latest = self._head() + self.bound
        first_late = next(islice(self._joined.values(), self._spare, None), None)
        return latest if first_late is None else min(latest, first_late + self._target)

    def _lasting(self, now: float) -> bool:
        return now - self._empty_at >= self.bound

    def _head(self) -> float:
        return next(iter(self._joined.values()))


def shed(waited: float) -> Overloaded:
    """The error of a waiter who is turned away."""
    return Overloaded(
        "The gateway has more pictures to render than it can. Try again shortly.",
        private=f"renders are waiting for {waited:.3f} s",
    )
