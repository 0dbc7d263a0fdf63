"""The newest revocations, in this process's memory, by the numbers of their handles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from countermark.backends.revocations.terms import LIFTED, Front, Numbering, in_force, terms_of, widened
from countermark.identity.revocation import Revocation

_AT_ONCE = 5_000


class Entry(Struct, frozen=True, gc=False):
    """What was said lately about one handle. `alone`: a lift was among it, so that the big file counts no more."""

    front: Front
    alone: bool
    reason: str

    def hits(self, issued: float, now: float) -> bool:
        return any(in_force(terms, issued, now) for terms in self.front)


_UNHEARD = Entry((), False, "")


class Newest:
    """What of the list comes after the big file's cursor."""

    def __init__(self, number: Numbering) -> None:
        self._number = number
        self.entries: dict[int, Entry] = {}

    def add(self, revocations: Iterable[Revocation]) -> None:
        """In the order of the list. To add the same again, from any earlier place on, changes nothing in the end."""
        for one in revocations:
            number = self._number(one.kind, one.value)
            before = self.entries.get(number, _UNHEARD)
            terms = terms_of(one)
            if terms == LIFTED:
                self.entries[number] = Entry((), True, "")
            else:
                self.entries[number] = Entry(widened(before.front, terms), before.alone, one.reason)

    def records(self) -> Iterator[list[int]]:
        """All that is there now as numbers and terms, flat and in small lists, in an order that says the same."""
        entries = list(self.entries.items())
        for start in range(0, len(entries), _AT_ONCE):
            yield _flat(entries[start : start + _AT_ONCE])


def _flat(entries: Collection[tuple[int, Entry]]) -> list[int]:
    flat: list[int] = []
    for number, entry in entries:
        if entry.alone:
            flat += (number, LIFTED)
        for terms in entry.front:
            flat += (number, terms)
    return flat
