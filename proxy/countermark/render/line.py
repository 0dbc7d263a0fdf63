"""Who waits for a render child, and who is told at once to come back later.

The rule is by delay, not by length: a newcomer is refused when the wait that lies before him is too long. That wait is
known from how fast the line has been moving, so nobody stands in line in vain. What is too long depends on how long the
crowd has lasted: while the line was empty a moment ago it is twice the target, so that a short burst is served whole;
after that it is the target. (The two times are the idea of CoDel, RFC 8289, in the form for request queues of "Fail at
Scale", ACM Queue 13/8, 2015; refusing at the door instead of after the wait is ours.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from countermark.core.errors import Overloaded

Waiter = TypeVar("Waiter")

_BURST_TARGETS = 2.0
# Whoever was let in has this much more time than he was told, before he is turned away after all.
_BOUND_TARGETS = 4.0

# How much of the latest gap between two departures goes into the pace: about the last ten count.
_PACE_SHARE = 0.1


class Line(Generic[Waiter]):
    """First come, first served. `now` is monotonic seconds, given by the caller; waiters are compared by identity.

    target   seconds that a render may wait while the crowd lasts; the bound, at which whoever still waits is turned away,
             is four times that
    spare    as many may always stand in line; one for each child, so that none is idle
    """

    def __init__(self, *, target: float, spare: int) -> None:
        self.bound = _BOUND_TARGETS * target
        self._target = target
        self._spare = spare
        self._joined: OrderedDict[Waiter, float] = OrderedDict()
        self._crowded_since = 0.0
        self._moved_at = 0.0
        self._pace = 0.0

    def __len__(self) -> int:
        return len(self._joined)

    def join(self, waiter: Waiter, now: float) -> None:
        """Stand at the end. Raises Overloaded when the wait would be too long."""
        self.check(now)
        if not self._joined:
            self._crowded_since = self._moved_at = now
        self._joined[waiter] = now

    def check(self, now: float) -> None:
        """Raises Overloaded when whoever joined now would wait too long."""
        if len(self) >= max(1, self._spare) and self._wait(now) > self._patience(now):
            raise shed(self._wait(now))

    def first(self) -> Waiter | None:
        """The head, who stays in line; None when it is empty."""
        return next(iter(self._joined), None)

    def serve(self, waiter: Waiter, now: float) -> None:
        """The head's turn has come. The gaps between these moments are the line's pace while it is never empty."""
        gap = now - self._moved_at
        self._pace += _PACE_SHARE * (gap - self._pace)
        self._moved_at = now
        self.leave(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Give up one's place; nothing happens to those who have none."""
        self._joined.pop(waiter, None)

    def turn_away(self, now: float) -> list[tuple[Waiter, float]]:
        """All who have waited for the bound, with the seconds: the line moves slower than it did when they came."""
        late = []
        for waiter, joined in self._joined.items():
            if now - joined < self.bound:
                break
            late.append((waiter, now - joined))
        for waiter, _ in late:
            del self._joined[waiter]
        return late

    def next_turning(self) -> float | None:
        """When `turn_away` has to be asked next; None while nobody waits."""
        return self._head() + self.bound if self._joined else None

    def _wait(self, now: float) -> float:
        """Seconds before a newcomer: his place by the pace, or what the head has borne already if that is more."""
        return max(len(self) * self._pace, now - self._head())

    def _patience(self, now: float) -> float:
        burst = _BURST_TARGETS * self._target
        return self._target if now - self._crowded_since >= burst else burst

    def _head(self) -> float:
        return next(iter(self._joined.values()))


def shed(waited: float) -> Overloaded:
    """The error of a waiter who is turned away."""
    return Overloaded(
        "The gateway has more pictures to render than it can. Try again shortly.",
        private=f"a render would wait for {waited:.3f} s",
    )
