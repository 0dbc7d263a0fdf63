"""Counts that the workers of one machine share: cells of rates and strikes in a memory-mapped file, without a lock.

head    16 bytes that say what the file is, and 16 random ones: the key of the hash that places the cells. It is secret,
        so that nobody can choose names that push each other out. Behind them the time at which the last block ends.
cells   in buckets of eight; a name has its place in one bucket. A cell is a tag (64 bits of the name's hash) and a time:
        when the bucket of that rate will be empty again (GCRA's TAT, unix seconds), or when all strikes are forgotten.

A cell whose time has come says nothing any more and is free. Where eight live ones fill a bucket, the one that would have
been free first gives way. Two processes that write one cell at the same moment may lose a count and let more through.

Where thousands of requests remain and they come in quick succession, a process draws some at a time: they are counted when
they are drawn, so that no more come through than allowed, and what is left of a draw that is too old is given back at the
next request of whomever.
"""

from __future__ import annotations

import mmap
import os
import stat
import tempfile
import time
from collections import deque
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
# The file is read and written in aligned words of eight bytes, each by one instruction, so that none is seen half. A cell
# is two of them.
_WORD = 8
_BUCKET = 2 * _WAYS
_ALARM = 8
_EMPTY = memoryview(bytes(_BUCKET * _WORD)).cast("Q")
_SIZE = _HEAD + _BUCKETS * _BUCKET * _WORD
_PLACES = 8192

# Requests of one draw, the share of what remains that it may be at most, and seconds for which it holds.
_DRAW = 8
_SHARE = 0.001
_DRAW_SECONDS = 0.05

_NOWHERE = (0, 0, 0)  # no tag stands at the head
_MOST_STRIKES = 1000

log = structlog.get_logger("countermark.cells")


class Draw:
    """Requests that were counted against `limits` and have not come yet. `at` is when they were last asked for."""

    __slots__ = ("at", "left", "limits", "verdicts")

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self.at = float("-inf")
        self.left = 0
        self.verdicts: tuple[Verdict, ...] = ()


class Cells:
    """The file is made when something is first counted. Where it cannot be, this process counts for itself alone."""

    def __init__(self, file: Path, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.file = file
        self._wall_clock = wall_clock
        self._map: mmap.mmap | None = None
        self._tags = memoryview(b"").cast("Q")
        self._times = memoryview(b"").cast("d")
        self._secret = b""
        self._places: dict[str, tuple[int, int, int]] = {}
        self._draws: dict[int, Draw] = {}
        self._drawn: deque[tuple[float, Draw]] = deque()

    def take(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...]:
        """Count one request against all limits, or against none. Raises RateLimited.

        The verdicts are those of this moment, or while many remain those of a moment ago, and then the same tuple. Callers
        who count against the same limits again give the same tuple, too.
        """
        if not limits:
            return ()
        draw = self._draws.get(id(limits)) or self._new_draw(limits)
        quick = 0.0 <= now - draw.at < _DRAW_SECONDS
        if draw.left and quick:
            draw.left -= 1
            return draw.verdicts
        self._give_back(now)
        draw.at = now
        draw.verdicts = verdicts = self._take_one(limits, now)
        if quick and min([verdict.remaining for verdict in verdicts]) * _SHARE >= _DRAW:
            draw.left = _DRAW - 1
            self._add_to_all(limits, draw.left)
            self._drawn.append((now, draw))
        return verdicts

    def _give_back(self, now: float) -> None:
        """What is left of draws that are too old, whosever: a client with many URLs must not pay for what never came."""
        while self._drawn and not 0.0 <= now - self._drawn[0][0] < _DRAW_SECONDS:
            at, draw = self._drawn.popleft()
            if draw.left and draw.at == at:
                self._add_to_all(draw.limits, -draw.left)
                draw.left = 0

    def _new_draw(self, limits: tuple[Limit, ...]) -> Draw:
        if len(self._draws) >= _PLACES:
            self._draws.clear()
        # It holds the tuple, so that no other one can have its id.
        draw = self._draws[id(limits)] = Draw(limits)
        return draw

    def _add_to_all(self, limits: tuple[Limit, ...], requests: int) -> None:
        """Count so many more, or fewer, where the limits still have their cells."""
        for limit in limits:
            tag, _, cell = self._places.get(limit.key) or _NOWHERE
            if self._tags[cell] == tag:
                self._times[cell + 1] += requests * limit.interval

    def _take_one(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...]:
        if self._map is None:
            self._open()
        tags, times, places = self._tags, self._times, self._places
        changes, verdicts, allowed = [], [], True
        for limit in limits:
            tag, _, cell = places.get(limit.key) or _NOWHERE
            if tags[cell] == tag:
                tat = times[cell + 1]
            else:
                tag, cell, tat = self._find(limit.key)
            new, verdict = advance(tat, now, limit)
            changes.append((cell, tag, tat, new, limit.interval))
            verdicts.append(verdict)
            if not verdict.allowed:
                allowed = False
        if not allowed:
            raise limited(verdicts)
        for cell, tag, tat, new, interval in changes:
            if times[cell + 1] == tat:
                tags[cell], times[cell + 1] = tag, new
            else:
                self._add(cell, tag, tat, new, interval)
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
        self._tags[cell], self._times[cell + 1] = tag, until
        self._times[_ALARM] = max(self._times[_ALARM], until)

    def blocked(self, key: str) -> float:
        """For how many seconds more it is, 0 where it is not. While nobody is, that costs one word of memory."""
        if self._map is None:
            self._open()
        now = self._wall_clock()
        if now >= self._times[_ALARM]:
            return 0.0
        return max(0.0, self._find(f"block\n{key}")[2] - now)

    def pardon(self, key: str) -> None:
        """Forget all strikes against `key`."""
        tag, cell, until = self._find(f"strike\n{key}")
        if until:
            self._tags[cell], self._times[cell + 1] = tag, 0.0

    def close(self) -> None:
        if self._map is not None:
            self._tags.release()
            self._times.release()
            self._map.close()
            self._map = None
            self._draws.clear()
            self._drawn.clear()

    def _find(self, name: str) -> tuple[int, int, float]:
        """The tag of a name, the place of its cell (or of the one that it may have), and the cell's time."""
        if self._map is None:
            self._open()
        tag, bucket, cell = self._places.get(name) or self._place(name)
        if self._tags[cell] == tag:
            return tag, cell, self._times[cell + 1]
        if self._tags[bucket : bucket + _BUCKET] == _EMPTY:
            return tag, bucket, 0.0
        tags = self._tags[bucket : bucket + _BUCKET : 2].tolist()
        times = self._times[bucket + 1 : bucket + _BUCKET : 2].tolist()
        known = tag in tags
        way = tags.index(tag) if known else times.index(min(times))
        cell = bucket + 2 * way
        self._places[name] = tag, bucket, cell
        return tag, cell, times[way] if known else 0.0

    def _add(self, cell: int, tag: int, before: float, until: float, step: float) -> None:
        """Write a time that is one step later, also when another process has moved it since it was read: this one may
        have been off the processor in between, and must not undo all that the others counted."""
        present = self._times[cell + 1]
        if present != before and self._tags[cell] == tag:
            until = max(until, present + step)
        self._tags[cell], self._times[cell + 1] = tag, until

    def _place(self, name: str) -> tuple[int, int, int]:
        """The tag, the bucket, and the cell in which the name was seen last, to begin with the bucket's first."""
        digest = blake2b(name.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).digest()
        tag = int.from_bytes(digest[:8], "little") | 1
        bucket = _HEAD // _WORD + int.from_bytes(digest[8:], "little") % _BUCKETS * _BUCKET
        if len(self._places) >= _PLACES:
            self._places.clear()
        place = self._places[name] = tag, bucket, bucket
        return place

    def _open(self) -> None:
        try:
            table = _shared(self.file)
        except OSError as error:
            log.warning("rates are counted by each worker alone", reason=str(error))
            table = mmap.mmap(-1, _SIZE)
            table[:_HEAD] = _head()
        self._secret = table[len(_MAGIC) : len(_MAGIC) + 16]
        self._tags, self._times = memoryview(table).cast("Q"), memoryview(table).cast("d")
        self._map = table


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
