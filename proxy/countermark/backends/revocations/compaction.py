"""From the newest revocations and the big file to a new big file, by one process of this machine at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from array import array
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from countermark.backends.revocations.bulk import Head, Identity, identity_of
from countermark.backends.revocations.merge import REVOKED, SPOOL, Order

_MERGE = (sys.executable, "-P", "-m", "countermark.backends.revocations.merge")
_LOCK = "lock"
_FLUSH_AT = 2**16


class Compaction:
    """The right to put a new big file into the folder, and what shall be in it beside the old one.

    The lock is the kernel's (flock): it ends with the last process that holds it, this one or the one that merges.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._waiting: array[int] = array("Q")
        self.spooled = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        self._spool = os.open(folder / SPOOL, flags, 0o600)

    def __enter__(self) -> Compaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._spool)
        os.close(self._lock)

    def spool(self, records: Iterable[int]) -> None:
        """Numbers and terms, flat, in the order of the list. Raises OSError."""
        self._waiting.extend(records)
        if len(self._waiting) >= _FLUSH_AT:
            self._flush()

    def order(self, head: Head, *, fresh: bool) -> Order:
        """What is to be merged, all of it spooled. `fresh`: there is no big file to build on. Raises OSError."""
        self._flush()
        return Order(head, fresh)

    async def merge(self, head: Head, *, fresh: bool) -> None:
        """Do it in a process of its own; returns when the new file is in its place. Raises OSError."""
        order = self.order(head, fresh=fresh)
        process = await asyncio.create_subprocess_exec(
            *_MERGE, str(self._folder), stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(self._lock,)
        )
        try:
            _, said = await process.communicate(msgspec.msgpack.encode(order))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise OSError(f"merging ended with {process.returncode}: {said.decode(errors='replace')[-500:].strip()}")

    def _flush(self) -> None:
        data = memoryview(self._waiting.tobytes())
        self.spooled += len(self._waiting) // 2
        del self._waiting[:]
        while data:
            data = data[os.write(self._spool, data) :]


def begin(folder: Path, seen: Identity) -> Compaction | None:
    """None where another process is at it, or where the big file is no longer the one that was seen. Raises OSError."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if identity_of(folder / REVOKED) == seen:
            return Compaction(folder, lock)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
