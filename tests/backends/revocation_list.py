"""A list of revocations in memory, whose connections break and fall silent when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from countermark.core.errors import StoreUnavailable
from countermark.identity.revocation import Kind, Revocation
from countermark.ports import Page

PAGE = 1000
LIFE = 0.05


def revocation(
    kind: Kind, value: str, *, before: int | None = None, expires: int | None = None, lifted: bool = False
) -> Revocation:
    return Revocation(kind=kind, value=value, issued_before=before, expires=expires, lifted=lifted, created=0.0)


class MemoryList:
    """Cursors count entries. `down`: every call fails. `silent`: followers wait and hear nothing."""

    def __init__(self) -> None:
        self.entries: list[Revocation] = []
        self.down = False
        self.silent = False
        self.reads: list[str] = []
        self.cuts = 0
        self._changed = asyncio.Event()

    async def append(self, revocations: Sequence[Revocation]) -> str:
        self.entries.extend(revocations)
        self._wake()
        return str(len(self.entries))

    async def read(self, after: str, limit: int = PAGE) -> Page:
        self._refuse_while_down()
        self.reads.append(after)
        start = int(after or 0)
        found = tuple(self.entries[start : start + limit])
        return Page(revocations=found, cursor=str(start + len(found)))

    async def follow(self, after: str) -> AsyncIterator[Page]:
        cuts = self.cuts
        while True:
            changed = self._changed
            self._refuse_while_down()
            if cuts != self.cuts:
                raise StoreUnavailable("The connection was cut.")
            start = int(after or 0)
            found = tuple(self.entries[start : start + PAGE])
            after = str(start + len(found))
            if self.silent:
                await asyncio.Event().wait()
            yield Page(revocations=found, cursor=after)
            if not found:
                await _either(changed, LIFE)

    def cut(self) -> None:
        """Break every connection that follows."""
        self.cuts += 1
        self._wake()

    def _refuse_while_down(self) -> None:
        if self.down:
            raise StoreUnavailable("The store is down.")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _either(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
