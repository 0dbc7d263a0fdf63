"""The list up to a cursor: the big file, and what came later."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from countermark.backends.revocations.bulk import Bulk, Head, Identity
from countermark.backends.revocations.newest import Newest
from countermark.backends.revocations.terms import KEY_SIZE, numbering
from countermark.identity.revocation import Handle, Revocation
from countermark.ports import Revoked


class Copy:
    """`identity` is that of whatever stood in the big file's place, usable or not."""

    def __init__(self, bulk: Bulk | None, identity: Identity) -> None:
        self.bulk = bulk
        self.identity = identity
        self.cursor = bulk.head.cursor if bulk else ""
        self._key = bulk.head.key if bulk else secrets.token_bytes(KEY_SIZE)
        self._kinds: set[str] = set(bulk.head.kinds) if bulk else set()
        self.number = numbering(self._key)
        self.newest = Newest(self.number)

    @property
    def head(self) -> Head:
        """For the big file that holds all of this copy."""
        return Head(key=self._key, kinds=frozenset(self._kinds), cursor=self.cursor)

    def note(self, revocations: Sequence[Revocation]) -> None:
        """Remember their kinds: a handle of any other is not even looked up."""
        self._kinds.update({one.kind for one in revocations})

    def add(self, revocations: Sequence[Revocation]) -> None:
        self.note(revocations)
        self.newest.add(revocations)

    def find(self, handles: tuple[Handle, ...], issued: float, now: float) -> Revoked | None:
        entries, bulk, kinds, number_of = self.newest.entries, self.bulk, self._kinds, self.number
        for handle in handles:
            kind = handle.kind
            if kind not in kinds:
                continue
            number = number_of(kind, handle.value)
            entry = entries.get(number)
            if entry is not None:
                if entry.hits(issued, now):
                    return Revoked(kind=kind, reason=entry.reason)
                if entry.alone:
                    continue
            if bulk is not None and bulk.holds(number, issued, now):
                return Revoked(kind=kind)
        return None

    def close(self) -> None:
        if self.bulk is not None:
            self.bulk.close()
