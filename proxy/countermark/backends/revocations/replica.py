"""Which grants were taken back, answered from this process's memory and a file that it shares with its siblings."""

from __future__ import annotations

import asyncio
import errno
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from countermark.backends.ending import end
from countermark.backends.revocations.bulk import identity_of
from countermark.backends.revocations.compaction import begin
from countermark.backends.revocations.copy import Copy
from countermark.backends.revocations.loading import catch_up, in_small, load
from countermark.backends.revocations.merge import REVOKED
from countermark.core.errors import ConfigurationInvalid, CountermarkError, Fault
from countermark.identity.revocation import Handle
from countermark.ports import Page, RevocationLog, Revoked

log = structlog.get_logger("countermark.revocations")

NEWEST = 10_000

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5


class LocalRevocations:
    """One in each process, in one event loop. `folder` is this machine's own, shared by its processes, private to them.

    The big file holds the list up to a cursor that it names; what came later is in a dictionary. When that has grown
    beyond `newest` entries, whichever process is first puts both into a new file, and the others notice it within a
    second. Any process can do that, and none is needed for a right answer.
    """

    def __init__(
        self,
        source: RevocationLog,
        folder: Path,
        *,
        max_staleness: float = 2.0,
        newest: int = NEWEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._folder = folder
        self._max_staleness = max_staleness
        self._newest = self._renew_beyond = newest
        self._clock = clock
        self._copy: Copy | None = None
        self._version = 0
        self._lifts = 0
        self._heard = float("-inf")
        self._trouble = ""
        self._pause = _FIRST_PAUSE
        self._loaded = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[Copy | None] | None = None

    async def start(self, *, patience: float = 5.0) -> None:
        """Begin to follow the list; returns once all of it is known, or after `patience` seconds, with `stale` set.

        Where nothing may be written the list is kept in memory alone, as long as it is short. Raises ConfigurationInvalid
        where the folder's name is taken.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self._go_without(error)
        self._following = asyncio.create_task(self._stay_current(), name="revocations")
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._loaded.wait()

    def _go_without(self, error: OSError) -> None:
        if error.errno not in _READ_ONLY:
            fault = Fault(path="revocation.folder", message=f"{self._folder} cannot be used: {error.strerror}")
            raise ConfigurationInvalid([fault]) from None
        log.warning("revocations are kept in memory alone", folder=str(self._folder), reason=error.strerror)

    async def close(self) -> None:
        """Ends the background work, and a merge of this process; nothing is lost by that."""
        await end(self._following)
        await end(self._renewal)
        self._drop_renewed()
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    @property
    def version(self) -> int:
        return self._version

    @property
    def lifts(self) -> int:
        return self._lifts

    @property
    def stale(self) -> str:
        silence = self._clock() - self._heard
        if self._copy is not None and silence <= self._max_staleness:
            return ""
        because = f": {self._trouble}" if self._trouble else ""
        if self._copy is None:
            return f"the list of revocations is not loaded yet{because}"
        return f"nothing was heard of the list of revocations for {silence:.0f} s{because}"

    def find(self, handles: tuple[Handle, ...], issued: float, now: float) -> Revoked | None:
        """Before the first load it finds nothing, and `stale` says so."""
        return None if self._copy is None else self._copy.find(handles, issued, now)

    async def _stay_current(self) -> None:
        while True:
            try:
                if self._copy is None:
                    self._replace(await load(self._source, self._folder, limit=lambda: 2 * self._newest))
                await self._follow()
            except Exception as error:  # noqa: BLE001 - whatever broke, this process must not be left behind for good
                self._complain(error)
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _follow(self) -> None:
        """Apply what comes, until there is a newer big file to go on from. Raises as the source does."""
        copy = self._copy
        assert copy is not None
        pages = self._source.follow(copy.cursor)
        try:
            while not self._renewed():
                async with asyncio.timeout(self._max_staleness):
                    page = await anext(pages)
                await self._apply(page, copy)
                self._look_after_file(copy)
        finally:
            if isinstance(pages, AsyncGenerator):
                await pages.aclose()
        await self._go_on_from_renewed()

    async def _apply(self, page: Page, copy: Copy) -> None:
        for some in in_small(page):
            copy.add(some)
            self._version += 1
            self._lifts += any(one.lifted for one in some)
            await asyncio.sleep(0)  # requests have their turn
        copy.cursor = page.cursor
        self._heard = self._clock()
        self._trouble = ""
        self._pause = _FIRST_PAUSE

    def _look_after_file(self, copy: Copy) -> None:
        """Start a renewal where another process has put a new big file there, or where it is time for one."""
        if self._renewal is None and (len(copy.newest.entries) > self._renew_beyond or self._superseded(copy)):
            self._renewal = asyncio.create_task(self._renew(copy), name="revocations-renewal")

    async def _renew(self, copy: Copy) -> Copy | None:
        """The copy to go on from, beside the one that goes on answering; None where another process is merging."""
        if not self._superseded(copy):
            compaction = begin(self._folder, copy.identity)
            if compaction is None:
                return None
            with compaction:
                head = copy.head
                for records in copy.newest.records():
                    compaction.spool(records)
                    await asyncio.sleep(0)
                await compaction.merge(head, fresh=copy.bulk is None)
        # While millions are added, it is enough to hold fewer of them in memory than the old copy does by then.
        return await load(self._source, self._folder, limit=lambda: max(2 * self._newest, len(copy.newest.entries)))

    def _renewed(self) -> bool:
        """Whether a renewal has ended with a copy; one that failed is told, and tried again when there is more to do."""
        if self._renewal is None or not self._renewal.done():
            return False
        error = self._renewal.exception()
        if error is None and self._renewal.result() is not None:
            return True
        self._renewal = None
        if error is not None:
            log.warning("local copy of revocations not renewed", reason=str(error) or type(error).__name__)
            self._renew_beyond *= 2
        return False

    async def _go_on_from_renewed(self) -> None:
        """What the old copy knows by now must be in the new one first, or it would be forgotten for a moment."""
        copy = self._renewal.result() if self._renewal is not None else None
        if copy is None:
            return
        await catch_up(self._source, copy, limit=lambda: sys.maxsize)
        self._renewal = None
        self._replace(copy)

    def _replace(self, copy: Copy) -> None:
        old, self._copy = self._copy, copy
        self._version += 1
        self._lifts += 1  # the new copy may have caught up with a lift that the old one never heard of
        self._heard = self._clock()
        self._trouble = ""
        self._renew_beyond = self._newest
        self._loaded.set()
        if old is not None:
            old.close()

    def _superseded(self, copy: Copy) -> bool:
        try:
            return identity_of(self._folder / REVOKED) != copy.identity
        except OSError:  # whatever is wrong with the folder, the copy in memory goes on
            return False

    def _complain(self, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            reason = "the store does not answer"
        else:
            reason = error.detail if isinstance(error, CountermarkError) else str(error) or type(error).__name__
        if reason != self._trouble:
            log.warning("list of revocations out of reach", reason=reason)
        self._trouble = reason

    def _drop_renewed(self) -> None:
        task = self._renewal
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            copy = task.result()
            if copy is not None:
                copy.close()
