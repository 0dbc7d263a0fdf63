"""python -m countermark.backends.revocations.merge FOLDER: the big file and the spool become the new big file.

A process of its own, since it takes seconds of a core and, for many millions, hundreds of megabytes that a worker would
not give back. Its standard input is the Order. Whoever starts it holds the folder's lock and hands it down.
"""

from __future__ import annotations

import os
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from countermark.backends.revocations.bulk import PARTS, Head, Unreadable, opened, write
from countermark.backends.revocations.terms import LIFTED, Front, over, widened

REVOKED = "revoked"
SPOOL = "spool"

_NEW = "revoked.new"
_NICE = 10
_CHUNK = 2**20
_TORN = 2


class Order(Struct, frozen=True):
    """`head` of the new file, but for what is counted while it is written. `fresh`: there is no old one to build on."""

    head: Head
    fresh: bool


def merge(folder: Path, order: Order, now: float) -> None:
    """Write the new file, and put it in the old one's place once it is safely on the disk.

    Raises OSError, and Unreadable where the old file is not what it was when the order was given.
    """
    old = None if order.fresh else opened(folder / REVOKED)
    head = order.head
    if old is not None and old.head.key != head.key:
        raise Unreadable("it has another key")
    spooled = _spooled(folder / SPOOL)
    parts = (_merged(old.part(part) if old else [], spooled[part], now) for part in range(PARTS))
    descriptor = os.open(folder / _NEW, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        write(file, head, parts, about=(old.head.rows if old else 0) + sum(map(len, spooled)) // 2)
        file.flush()
        os.fsync(file.fileno())
    os.rename(folder / _NEW, folder / REVOKED)
    _sync(folder)
    if old is not None:
        old.close()


def _spooled(path: Path) -> list[array[int]]:
    """The records of the spool, which are in the order of the list, dealt out to the parts."""
    parts: list[array[int]] = [array("Q") for _ in range(PARTS)]
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            flat = array("Q", chunk)
            for number, terms in zip(flat[::2], flat[1::2], strict=True):
                parts[number >> 56].extend((number, terms))
    return parts


def _merged(old: list[int], new: array[int], now: float) -> array[int]:
    """The rows of one part: the new said after the old, without what is over."""
    fronts: dict[int, Front] = {}
    for number, terms in zip(old[::2], old[1::2], strict=True):
        fronts[number] = (*fronts[number], terms) if number in fronts else (terms,)
    for number, terms in zip(new[::2], new[1::2], strict=True):
        if terms == LIFTED:
            fronts.pop(number, None)
        else:
            fronts[number] = widened(fronts.get(number, ()), terms)
    return array("Q", _flat(fronts, now))


def _flat(fronts: dict[int, Front], now: float) -> Iterator[int]:
    for number in sorted(fronts):
        for terms in fronts[number]:
            if not over(terms, now):
                yield number
                yield terms


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> int:
    """Do as ordered; the exit code is 0, or 2 with the reason on standard error."""
    os.nice(_NICE)
    try:
        merge(Path(sys.argv[1]), msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order), time.time())
    except (OSError, Unreadable) as error:
        print(error, file=sys.stderr)  # noqa: T201 - its starter logs it
        return _TORN
    return 0


if __name__ == "__main__":
    sys.exit(main())
