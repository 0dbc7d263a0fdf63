"""Renditions on disk, shared by the worker processes and bounded over all of them.

folder/
    lock        held (flock) by whoever changes the folder; its eight octets count the bytes in use
    new         the entry that is being written; to whoever holds the lock, a leftover of a crash
    3f/…        the entries, one file each, spread over 256 folders by the hash of their key

Nothing is synced: a file that a crash left torn fails its checksum, reads as a miss and is removed.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, TypeVar

from msgspec import Struct

from countermark.backends.caches.entry import Torn, pack, unpack
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.core.picture import Rendition

T = TypeVar("T")

READERS = 4
QUEUE = 64
TOUCH_AFTER = 60.0
KEEP = 0.9

_BLOCK = 4096


class DiskCounts(Struct):
    """What happened in this process since its start. `declined`: not written, too large or too much to write."""

    hits: int = 0
    misses: int = 0
    puts: int = 0
    errors: int = 0
    torn: int = 0
    declined: int = 0
    evicted: int = 0


class DiskCache:
    """Reads go to a few threads. Writes go to one thread of each process, so that they never hold up a read.

    Each process opens its own: a lock that was inherited over a fork would keep nobody out.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.counts = DiskCounts()
        self._shelf = _Shelf(folder, limit, self.counts)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="disk-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="disk-write")
        self._waiting = 0

    async def get(self, key: bytes) -> Rendition | None:
        # Opening takes microseconds, a visit to a thread twenty times that: a miss must not pay for one.
        file = self._shelf.find(key)
        rendition = None if file is None else await self._visit(self._readers, lambda: self._shelf.read(key, file))
        if rendition is None:
            self.counts.misses += 1
        else:
            self.counts.hits += 1
        return rendition

    async def put(self, key: bytes, rendition: Rendition) -> None:
        if self._waiting >= QUEUE:  # a slow disk must not fill the memory with what waits for it
            self.counts.declined += 1
            return
        self._waiting += 1
        try:
            await self._visit(self._writer, lambda: self._shelf.put(key, rendition))
        finally:
            self._waiting -= 1

    async def drop(self, key: bytes) -> None:
        await self._visit(self._writer, lambda: self._shelf.drop(key))

    async def close(self) -> None:
        """Ends the threads; what is being written is finished."""
        await asyncio.to_thread(self._close)

    async def _visit(self, threads: ThreadPoolExecutor, call: Callable[[], T]) -> T | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, call)
        except OSError:
            self.counts.errors += 1
            return None

    def _close(self) -> None:
        self._readers.shutdown()
        self._writer.shutdown()
        self._shelf.close()


class _File(Struct, frozen=True):
    path: Path
    size: int
    used: float


class _Shelf:
    """The folder itself, with blocking calls. Only `find` and `read` work without the lock."""

    def __init__(self, folder: Path, limit: int, counts: DiskCounts) -> None:
        self._folder = folder
        self._new = folder / "new"
        self._limit = limit
        self._counts = counts
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def find(self, key: bytes) -> BinaryIO | None:
        """The entry's file, open; None where there is none or it cannot be opened."""
        try:
            return open(self._name(key), "rb", buffering=0)
        except FileNotFoundError:
            return None
        except OSError:
            self._counts.errors += 1
            return None

    def read(self, key: bytes, file: BinaryIO) -> Rendition | None:
        try:
            with file:
                data = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > TOUCH_AFTER:
                    os.utime(file.fileno())
            return unpack(key, data)
        except Torn:
            self._counts.torn += 1
            self._path(key).unlink(missing_ok=True)  # the count of bytes in use is right again after the next sweep
            return None

    def put(self, key: bytes, rendition: Rendition) -> None:
        head, body = pack(key, rendition)
        size = _on_disk(len(head) + len(body))
        if size > self._limit * KEEP:
            self._counts.declined += 1
            return
        path = self._path(key)
        with self._locked():
            in_use = self._in_use() + size - _size_of(path)
            if in_use > self._limit:
                in_use = self._sweep(self._limit * KEEP - size) + size - _size_of(path)
            # Counted before it is written: a crash in between leaves the count too high, never too low.
            self._set_in_use(in_use)
            self._write(path, head, body)
        self._counts.puts += 1

    def drop(self, key: bytes) -> None:
        path = self._path(key)
        with self._locked():
            size = _size_of(path)
            path.unlink(missing_ok=True)
            self._set_in_use(self._in_use() - size)

    def close(self) -> None:
        os.close(self._lock)

    def _write(self, path: Path, head: bytes, body: bytes) -> None:
        try:
            _create(self._new, head, body)
            _move(self._new, path)
        except OSError:
            with suppress(OSError):
                self._new.unlink(missing_ok=True)
            raise

    def _sweep(self, target: float) -> int:
        """Remove the least recently used until `target` bytes are left. Returns what is left, counted afresh."""
        files = sorted(self._files(), key=attrgetter("used"))
        left = sum(file.size for file in files)
        for file in files:
            if left <= target:
                break
            file.path.unlink(missing_ok=True)
            left -= file.size
            self._counts.evicted += 1
        return left

    def _files(self) -> Iterator[_File]:
        for shelf in os.scandir(self._folder):
            if not shelf.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(shelf):
                with suppress(FileNotFoundError):  # a reader found it torn
                    status = entry.stat(follow_symlinks=False)
                    yield _File(Path(entry.path), _on_disk(status.st_size), status.st_mtime)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _in_use(self) -> int:
        octets = os.pread(self._lock, 8, 0)
        if len(octets) == 8:
            return int.from_bytes(octets, "big")
        return sum(file.size for file in self._files())

    def _set_in_use(self, count: int) -> None:
        os.pwrite(self._lock, max(count, 0).to_bytes(8, "big"), 0)

    def _path(self, key: bytes) -> Path:
        return Path(self._name(key))

    def _name(self, key: bytes) -> str:
        name = blake2b(key, digest_size=20).hexdigest()
        return f"{self._folder}/{name[:2]}/{name[2:]}"


def _create(path: Path, head: bytes, body: bytes) -> None:
    """In as few calls as can be: each gives the interpreter away, and has to win it back from the event loop."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        written = os.writev(file, (head, body))
    finally:
        os.close(file)
    if written != len(head) + len(body):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _move(path: Path, place: Path) -> None:
    try:
        os.rename(path, place)
    except FileNotFoundError:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        os.rename(path, place)


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _size_of(path: Path) -> int:
    try:
        return _on_disk(path.stat().st_size)
    except FileNotFoundError:
        return 0


def open_disk(folder: str, limit: int) -> DiskCache:
    """The cache in `folder`, which is made where it is missing, of at most `limit` bytes. Raises ConfigurationInvalid."""
    try:
        path = Path(folder)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DiskCache(path, limit)
    except OSError as error:
        raise ConfigurationInvalid([Fault(path="cache.disk", message=f"cannot be used: {error}")]) from error
