"""The big file: nearly all revocations of the list, sorted, mapped read-only into every process.

    0       magic, checksum of all that follows it, length of the head; the head (MessagePack), zeros
    4096    the rows in order, 16 octets each: number, terms
            the fence: for every value of a number's upper bits the row at which it begins, and the count of rows

Numbers are evenly spread, as they are keyed hashes: behind the fence about twenty rows are left to search, in memory
that is close together. Octets are in the machine's own order, as the file never leaves it.
"""

from __future__ import annotations

import mmap
import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct as Layout
from typing import BinaryIO

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from countermark.backends.revocations.terms import KEY_SIZE, in_force

PARTS = 256

_MAGIC = b"CMR1"  # the digit is the layout's version
_PROLOGUE = Layout("=4sII")
_ROWS_AT = 4096
_HEAD_ROOM = _ROWS_AT - _PROLOGUE.size
_ROW = 16
_FEWEST_BITS = 8
_MOST_BITS = 24
_CHUNK = 2**20

Identity = tuple[int, int] | None
"""Which file stands at a path; None where there is none."""


class Unreadable(Exception):
    """The file is not a whole one of this layout; the text says in which way."""


class Head(Struct, frozen=True, kw_only=True):
    """key: of the numbering. kinds: every kind that any row has. cursor: up to which the rows hold the list.
    bits: the upper ones of a number that the fence knows."""

    key: bytes
    kinds: frozenset[str]
    cursor: str
    rows: int = 0
    bits: int = _FEWEST_BITS


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode


class Bulk:
    """Open it with `opened`, which checks it."""

    def __init__(self, head: Head, mapped: mmap.mmap, identity: Identity) -> None:
        self.head = head
        self.identity = identity
        end = _ROWS_AT + head.rows * _ROW
        self._shift = 64 - head.bits
        self._mapped = mapped
        self._rows = memoryview(mapped)[_ROWS_AT:end].cast("Q")
        self._fence = memoryview(mapped)[end:].cast("Q")
        self._numbers = self._rows[::2]
        self._terms = self._rows[1::2]

    def holds(self, number: int, issued: float, now: float) -> bool:
        """Whether a row of that number is in force for what was issued at `issued`."""
        place = number >> self._shift
        end = self._fence[place + 1]
        numbers = self._numbers
        row = bisect_left(numbers, number, self._fence[place], end)
        while row < end and numbers[row] == number:
            if in_force(self._terms[row], issued, now):
                return True
            row += 1
        return False

    def part(self, part: int) -> list[int]:
        """The rows of one of PARTS equal shares of all numbers, flat."""
        width = 2**self.head.bits // PARTS
        return self._rows[2 * self._fence[part * width] : 2 * self._fence[(part + 1) * width]].tolist()

    def close(self) -> None:
        for view in (self._numbers, self._terms, self._rows, self._fence):
            view.release()
        self._mapped.close()


def identity_of(path: Path) -> Identity:
    """Changes whenever another file is put there. Raises OSError but for a file that is absent."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def opened(path: Path) -> Bulk:
    """Read once from end to end, to check it. Raises OSError or Unreadable."""
    with path.open("rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        # Whoever else could write here could take revocations back.
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise Unreadable("others than this user may write it")
        head = _checked(file, found.st_size)
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    return Bulk(head, mapped, (found.st_ino, found.st_mtime_ns))


def write(file: BinaryIO, head: Head, parts: Iterable[array[int]], *, about: int) -> None:
    """A whole file, from PARTS arrays of flat rows in order. Those are counted here; `about` is a guess. Raises OSError."""
    bits = min(max(about.bit_length() - 5, _FEWEST_BITS), _MOST_BITS)
    fence: array[int] = array("Q")
    rows = checksum = 0
    file.seek(_ROWS_AT)
    for part, flat in enumerate(parts):
        file.write(flat)
        checksum = zlib.crc32(flat, checksum)
        fence.extend(_marks(part, flat[::2], rows, bits))
        rows += len(flat) // 2
    fence.append(rows)
    file.write(fence)
    packed = _encode(replace(head, rows=rows, bits=bits))
    if len(packed) > _HEAD_ROOM:
        raise OSError("the cursor is too long for the head of the file")
    padded = packed.ljust(_HEAD_ROOM, b"\0")
    checksum = zlib.crc32(padded, zlib.crc32(fence, checksum))
    file.seek(0)
    file.write(_PROLOGUE.pack(_MAGIC, checksum, len(packed)) + padded)


def _marks(part: int, numbers: array[int], first: int, bits: int) -> Iterator[int]:
    """The fence of one part, whose first row is the file's row `first`."""
    width = 2**bits // PARTS
    row = 0
    for value in range(part * width, (part + 1) * width):
        row = bisect_left(numbers, value << (64 - bits), row)
        yield first + row


def _checked(file: BinaryIO, size: int) -> Head:
    start = file.read(_ROWS_AT)
    if len(start) < _ROWS_AT:
        raise Unreadable("it is shorter than a head")
    magic, checksum, length = _PROLOGUE.unpack_from(start)
    if magic != _MAGIC:
        raise Unreadable("it is of another kind")
    padded = start[_PROLOGUE.size :]
    try:
        head = _decode(padded[:length])
    except msgspec.DecodeError as error:
        raise Unreadable("its head cannot be read") from error
    if len(head.key) != KEY_SIZE or size != _ROWS_AT + head.rows * _ROW + (2**head.bits + 1) * 8:
        raise Unreadable("its length is not what its head says")
    # Octets that a disk has lost would be revocations that nobody misses: the whole is read before any is believed.
    found = 0
    while chunk := file.read(_CHUNK):
        found = zlib.crc32(chunk, found)
    if zlib.crc32(padded, found) != checksum:
        raise Unreadable("its checksum is wrong")
    return head
