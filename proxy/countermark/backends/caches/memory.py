"""Renditions in this process's memory."""

from __future__ import annotations

from collections import OrderedDict

from countermark.core.picture import Rendition

# What an entry costs besides its texts and its body: measured for key, struct, links and the allocator's rounding.
OVERHEAD = 1024


class MemoryCache:
    """Least recently used goes first, once all entries together weigh more than `limit` bytes. 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[bytes, Rendition] = OrderedDict()
        self._touch = self._entries.move_to_end
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Rendition | None:
        rendition = self._entries.get(key)
        if rendition is not None:
            self._touch(key)
        return rendition

    def put(self, key: bytes, rendition: Rendition) -> None:
        self.drop(key)
        weight = _weigh(rendition)
        if weight > self._limit:  # it would push out everything else and still not fit
            return
        self._entries[key] = rendition
        self.weight += weight
        while self.weight > self._limit:
            self.weight -= _weigh(self._entries.popitem(last=False)[1])

    def drop(self, key: bytes) -> None:
        rendition = self._entries.pop(key, None)
        if rendition is not None:
            self.weight -= _weigh(rendition)


def _weigh(rendition: Rendition) -> int:
    return len(rendition.body) + len(rendition.etag) + len(rendition.validator) + OVERHEAD
