"""How many connections each worker of one start has: a page of memory that they share.

All workers wait at one listening socket, and the kernel wakes the same one first each time. Left alone, that one takes
every connection of a quiet hour, and when the load comes, a CDN's few keep-alive connections all lie with one process.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

_COUNT_BYTES = 4
_AWAY = -1


class Roster:
    """The page. Each worker writes its own count and reads the others'; who does not serve is away.

    `descriptor` is that of its memory file, for the next process; it is this object's own.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._counts = memoryview(mmap.mmap(descriptor, 0)).cast("i")

    @classmethod
    def create(cls, places: int) -> Roster:
        """A new page on which all are away."""
        descriptor = os.memfd_create("roster", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, places * _COUNT_BYTES)
        roster = cls(descriptor)
        for place in range(places):
            roster.leave(place)
        return roster

    def tell(self, place: int, count: int) -> None:
        """The worker at this place serves, and has so many connections."""
        self._counts[place] = count

    def leave(self, place: int) -> None:
        """The worker at this place takes no more."""
        self._counts[place] = _AWAY

    def fewest(self, place: int) -> int | None:
        """The least that another worker has; None where none serves. One that has died may count for a moment."""
        return min((count for at, count in enumerate(self._counts) if at != place and count != _AWAY), default=None)

    def __del__(self) -> None:
        # The last worker of a start ends long after it; the page goes with whoever speaks of it last.
        with suppress(AttributeError, OSError):
            os.close(self.descriptor)


class Berth:
    """One worker's place on the roster."""

    def __init__(self, roster: Roster, place: int) -> None:
        self.place = place
        self._roster = roster
        self._left = False

    @property
    def descriptor(self) -> int:
        """The roster's."""
        return self._roster.descriptor

    def tell(self, count: int) -> None:
        """So many connections are open; of no account after `leave`."""
        if not self._left:
            self._roster.tell(self.place, count)

    def leave(self) -> None:
        """No more are taken."""
        self._left = True
        self._roster.leave(self.place)

    def ahead(self, count: int) -> bool:
        """Whether a sibling has fewer than these, by an eighth where they are many: the next connection is for it."""
        fewest = self._roster.fewest(self.place)
        return fewest is not None and count > fewest + fewest // 8
