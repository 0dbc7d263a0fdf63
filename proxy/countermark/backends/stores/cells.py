"""Counts that the workers of one machine share: cells of rates and strikes in a memory-mapped file, without a lock.

head    16 bytes that say what the file is, and 16 random ones: the key of the hash that places the cells. It is secret,
        so that nobody can choose names that push each other out. Behind them the time at which the last block ends.
cells   in buckets of eight; a name has its place in one bucket. A cell is a tag (64 bits of the name's hash) and a time:
        when the bucket of that rate will be empty again (GCRA's TAT, unix seconds), or when all strikes are forgotten.

A cell whose time has come says nothing any more and is free. Where eight live ones fill a bucket, the one that would have
been free first gives way. Two processes that write one cell at the same moment may lose a count and let more through.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b
from math import ceil
from pathlib import Path

import structlog

from countermark.backends.stores.limited import limited
from countermark.traffic.gcra import Limit, Verdict, advance

_MAGIC = b"countermark c/1\n"
_HEAD = 4096
_BUCKETS = 2**15
_WAYS = 8
# Native sizes and alignment: each word is then read and written by one instruction, and never seen half.
_BUCKET = struct.Struct("@" + "Qd" * _WAYS)
_CELL = struct.Struct("@Qd")
_ALARM = struct.Struct("@d")
_ALARM_AT = 64
_EMPTY = bytes(_BUCKET.size)
_SIZE = _HEAD + _BUCKETS * _BUCKET.size
_PLACES = 8192
_NOWHERE = (0, 0, 0)  # no tag stands at the head
_MOST_STRIKES = 1000

log = structlog.get_logger("countermark.cells")


class Cells:
    """The file is made when something is first counted. Where it cannot be, this process counts for itself alone."""

    def __init__(self, file: Path, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.file = file
        self._wall_clock = wall_clock
        self._map: mmap.mmap | None = None
        self._secret = b""
        self._places: dict[str, tuple[int, int, int]] = {}

    def take(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...]:
        """Count one request against all limits, or against none. Raises RateLimited."""
        if not limits:
            return ()
        table = self._map or self._opened()
        changes, verdicts, allowed = [], [], True
        for limit in limits:
            tag, _, cell = self._places.get(limit.key) or _NOWHERE
            found, tat = _CELL.unpack_from(table, cell)
            if found != tag:
                tag, cell, tat = self._find(limit.key)
            new, verdict = advance(tat, now, limit)
            changes.append((cell, tag, tat, new, limit.interval))
            verdicts.append(verdict)
            if not verdict.allowed:
                allowed = False
        if not allowed:
            raise limited(verdicts)
        for change in changes:
            self._add(*change)
        return tuple(verdicts)

    def strike(self, key: str, window: float) -> int:
        """One more strike against `key`: how many it has now. One is forgotten every `window` seconds, the first one so
        long after it came."""
        now = self._wall_clock()
        tag, cell, until = self._find(f"strike\n{key}")
        until, before = min(max(until, now), now + _MOST_STRIKES * window) + window, until
        self._add(cell, tag, before, until, window)
        return ceil((until - now) / window - 1e-6)

    def block(self, key: str, seconds: float) -> None:
        """Have `blocked` say so for this time."""
        until = self._wall_clock() + seconds
        tag, cell, _ = self._find(f"block\n{key}")
        table = self._map or self._opened()
        _CELL.pack_into(table, cell, tag, until)
        if until > _ALARM.unpack_from(table, _ALARM_AT)[0]:
            _ALARM.pack_into(table, _ALARM_AT, until)

    def blocked(self, key: str) -> float:
        """For how many seconds more it is, 0 where it is not. While nobody is, that costs one word of memory."""
        table, now = self._map or self._opened(), self._wall_clock()
        if now >= _ALARM.unpack_from(table, _ALARM_AT)[0]:
            return 0.0
        return max(0.0, self._find(f"block\n{key}")[2] - now)

    def pardon(self, key: str) -> None:
        """Forget all strikes against `key`."""
        tag, cell, until = self._find(f"strike\n{key}")
        if until:
            _CELL.pack_into(self._map or self._opened(), cell, tag, 0.0)

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None

    def _find(self, name: str) -> tuple[int, int, float]:
        """The tag of a name, the offset of its cell (or of the one that it may have), and the cell's time."""
        table = self._map or self._opened()
        tag, bucket, cell = self._places.get(name) or self._place(name)
        found, until = _CELL.unpack_from(table, cell)
        if found == tag:
            return tag, cell, until
        if table[bucket : bucket + _BUCKET.size] == _EMPTY:
            return tag, bucket, 0.0
        words = _BUCKET.unpack_from(table, bucket)
        tags, times = words[::2], words[1::2]
        known = tag in tags
        way = tags.index(tag) if known else times.index(min(times))
        cell = bucket + way * _CELL.size
        self._places[name] = tag, bucket, cell
        return tag, cell, times[way] if known else 0.0

    def _add(self, cell: int, tag: int, before: float, until: float, step: float) -> None:
        """Write a time that is one step later, also when another process has moved it since it was read: this one may
        have been off the processor in between, and must not undo all that the others counted."""
        table = self._map or self._opened()
        found, present = _CELL.unpack_from(table, cell)
        if found == tag and present != before:
            until = max(until, present + step)
        _CELL.pack_into(table, cell, tag, until)

    def _place(self, name: str) -> tuple[int, int, int]:
        """The tag, the bucket, and the cell in which the name was seen last, to begin with the bucket's first."""
        digest = blake2b(name.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).digest()
        tag = int.from_bytes(digest[:8], "little") | 1
        bucket = _HEAD + int.from_bytes(digest[8:], "little") % _BUCKETS * _BUCKET.size
        if len(self._places) >= _PLACES:
            self._places.clear()
        place = self._places[name] = tag, bucket, bucket
        return place

    def _opened(self) -> mmap.mmap:
        try:
            self._map = _shared(self.file)
        except OSError as error:
            log.warning("rates are counted by each worker alone", reason=str(error))
            self._map = mmap.mmap(-1, _SIZE)
            self._map[:_HEAD] = _head()
        self._secret = self._map[len(_MAGIC) : len(_MAGIC) + 16]
        return self._map


def _head() -> bytes:
    return (_MAGIC + os.urandom(16)).ljust(_HEAD, b"\0")


def _shared(file: Path) -> mmap.mmap:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _mapped(file)
    except FileNotFoundError:
        _make(file)
        return _mapped(file)


def _mapped(file: Path) -> mmap.mmap:
    # In a folder that others may write to, a link or a file of theirs would let them read or reset the counts.
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        whole = facts.st_size == _SIZE and os.pread(descriptor, len(_MAGIC), 0) == _MAGIC
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or not whole:
            raise OSError(f"{file} is no table of this gateway's user; remove it")
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _make(file: Path) -> None:
    """Whole or not at all, and by one process: the others find the name taken."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        os.write(descriptor, _head())
        os.ftruncate(descriptor, _SIZE)
        os.link(name, file)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        os.unlink(name)
