"""Originals in a folder of this machine: `file:///srv/photos` or `file:./photos`."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from countermark.backends.origins.beneath import on_own_disk, open_beneath
from countermark.backends.origins.key import checked, missing
from countermark.core.errors import (
    ConfigurationInvalid,
    CountermarkError,
    Fault,
    OriginDenied,
    OriginTimeout,
    OriginUnreachable,
    PictureTooLarge,
)
from countermark.core.picture import OriginFacts
from countermark.ports import ByteRange, OriginBody, Parcel
from countermark.settings.model import OriginSettings

T = TypeVar("T")

# Bytes of the first read, which comes with the opening: a small original needs no second visit.
FIRST = 2**17
CHUNK = 2**18
THREADS = 4

# Up to this size a file that the kernel has in memory is read at once. Measured into a parcel, processor time at once and by
# a thread: 60 kB 0.07 and 0.17 ms, 400 kB 0.24 and 0.48 ms, this size 0.28 and 0.65 ms.
AT_HAND = 2**19

_WHOLE = ByteRange(0, 2**63 - 1)

_ABSENT = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO}
)
_DENIED = frozenset({errno.EACCES, errno.EPERM})


class FileOrigin:
    """Regular files below one folder.

    What the kernel has in memory is read at once, as far as it can be without waiting; the rest by a few threads of its
    own, in which a small file takes one visit.
    """

    def __init__(self, name: str, folder: int, settings: OriginSettings) -> None:
        self._name = name
        self._folder = folder
        self._quick = on_own_disk(folder)
        self._read_timeout = settings.read_timeout
        self._limit = max(settings.max_bytes, settings.max_stream_bytes)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"origin-{name}")

    async def stat(self, key: str) -> OriginFacts:
        return self._bounded((await self._file(key, None)).facts)

    @asynccontextmanager
    async def open(self, key: str, byte_range: ByteRange | None = None) -> AsyncGenerator[OriginBody]:
        wanted = byte_range or _WHOLE
        file = await self._file(key, wanted)
        try:
            self._bounded(file.facts)
            yield _FileBody(file, partial(self._visit, key))
        finally:
            if not file.closed:
                self._threads.submit(file.close)  # behind a read that may still be under way

    async def _file(self, key: str, wanted: ByteRange | None) -> _File:
        if self._quick:
            with suppress(OSError):  # a thread finds out why, and can wait
                return _File(self._folder, key, wanted, at_hand=True)
        return await self._visit(key, lambda: _File(self._folder, key, wanted), _File.close)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)
        os.close(self._folder)

    def _bounded(self, facts: OriginFacts) -> OriginFacts:
        if facts.size is not None and facts.size > self._limit:
            raise PictureTooLarge("The original is larger than this gateway passes on.", private=f"{facts.size} bytes")
        return facts

    async def _visit(self, key: str, call: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Run `call` in a thread. If nobody waits for it any more when it ends, `undo` takes its result back."""
        job = self._threads.submit(call)
        try:
            async with asyncio.timeout(self._read_timeout):
                return await asyncio.wrap_future(job)
        except TimeoutError as error:
            _take_back(job, undo)
            raise OriginTimeout("The origin took too long to answer.", private=f"{self._name}: {key!r}") from error
        except asyncio.CancelledError:
            _take_back(job, undo)
            raise
        except OSError as error:
            raise _translated(key, error) from error


class _FileBody:
    """What was read on opening, then the rest, a visit to a thread for each chunk."""

    def __init__(self, file: _File, visit: Callable[[Callable[[], bytes]], Awaitable[bytes]]) -> None:
        self._file = file
        self._visit = visit

    @property
    def facts(self) -> OriginFacts:
        return self._file.facts

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._file.head:
            yield self._file.head
        while not self._file.finished:
            yield await self._visit(self._file.read)

    async def pour(self, parcel: Parcel) -> None:
        parcel.write(self._file.head)
        if not self._file.finished:
            inlet = parcel.inlet(self._file.remaining)
            await self._visit(lambda: self._file.pour(inlet))


class _File:
    """An open file, its facts and its first bytes, all from one visit to a thread; or `at_hand`, which raises OSError
    where it would have to wait.

    `wanted` None asks for the facts alone. A file that was read to its end is closed by then. The lock keeps the
    descriptor from being closed, and its number given to another file, while an abandoned read still uses it.
    """

    def __init__(self, folder: int, key: str, wanted: ByteRange | None, *, at_hand: bool = False) -> None:
        self._lock = threading.Lock()
        self._descriptor = open_beneath(folder, checked(key), at_hand=at_hand)
        self.closed = False
        self.head = b""
        try:
            self._status = _regular(key, os.fstat(self._descriptor))
            self.facts = _facts(self._status)
            self._position = wanted.first if wanted else 0
            self._end = min(wanted.last + 1, self._status.st_size) if wanted else 0
            if self.finished:
                self.close()
            else:
                self.head = self._read_at_hand() if at_hand else self.read(FIRST)
        except BaseException:
            self.close()
            raise

    @property
    def finished(self) -> bool:
        return self._position >= self._end

    @property
    def remaining(self) -> int:
        return self._end - self._position

    def read(self, size: int = CHUNK) -> bytes:
        """The next chunk. Raises OriginUnreachable where the file became shorter or was written to meanwhile."""
        with self._lock:
            chunk = os.pread(self._descriptor, min(size, self.remaining), self._position)
            self._advance(len(chunk))
        if self.finished:
            self.close()
        return chunk

    def _read_at_hand(self) -> bytes:
        """All of a small file, the beginning of a large one, or what of it is in the kernel's memory (preadv2(2))."""
        room = bytearray(self.remaining if self.remaining <= AT_HAND else FIRST)
        count = os.preadv(self._descriptor, [room], self._position, os.RWF_NOWAIT)
        self._advance(count)
        if self.finished:
            self.close()
        return bytes(memoryview(room)[:count])

    def pour(self, inlet: BinaryIO) -> bytes:
        """All that remains, copied within the kernel; returns nothing. Raises as `read`."""
        with self._lock, inlet:
            while not self.finished:
                self._advance(os.sendfile(inlet.fileno(), self._descriptor, self._position, self.remaining))
        self.close()
        return b""

    def _advance(self, count: int) -> None:
        if not count:
            raise OriginUnreachable("The original became shorter while it was read.")
        self._position += count
        if self.finished and _changed(self._status, os.fstat(self._descriptor)):
            raise OriginUnreachable("The original was changed while it was read.")

    def close(self) -> None:
        with self._lock:
            if not self.closed:
                self.closed = True
                os.close(self._descriptor)


def _regular(key: str, status: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise missing(key, private=f"key {key!r} is not a regular file")
    return status


def _facts(status: os.stat_result) -> OriginFacts:
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
    return OriginFacts(size=status.st_size, etag=etag, modified=status.st_mtime)


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)


def _translated(key: str, error: OSError) -> CountermarkError:
    private = f"key {key!r}: {error}"
    if error.errno in _ABSENT:
        return missing(key, private=private)
    if error.errno in _DENIED:
        return OriginDenied("The origin does not let this gateway read the original.", private=private)
    return OriginUnreachable("The origin failed while the original was read.", private=private)


def _take_back(job: Future[T], undo: Callable[[T], None] | None) -> None:
    if undo is None:
        return

    def when_done(job: Future[T]) -> None:
        if not job.cancelled() and job.exception() is None:
            undo(job.result())

    job.add_done_callback(when_done)


async def open_file(name: str, settings: OriginSettings) -> FileOrigin:
    """The origin of a `file:` address. Raises ConfigurationInvalid where there is no such folder."""
    path = _folder_of(name, settings.url)
    try:
        folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.close(open_beneath(folder, "."))  # also tells whether this kernel has openat2 and lets us call it
    except OSError as error:
        raise _fault(name, f"the folder {path!r} cannot be opened: {error}") from error
    return FileOrigin(name, folder, settings)


def _folder_of(name: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path:
        raise _fault(name, "write a folder's address as file:///srv/photos or file:./photos")
    return unquote(parts.path)


def _fault(name: str, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path=f"origins.{name}.url", message=message)])
