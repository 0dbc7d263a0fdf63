"""The big file of revocations: exact, checked before it is believed, replaced as a whole or not at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from array import array
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from countermark.backends.revocations.bulk import PARTS, Bulk, Head, Unreadable, identity_of, opened, write
from countermark.backends.revocations.compaction import Compaction, begin
from countermark.backends.revocations.merge import REVOKED, SPOOL, Order, merge
from countermark.backends.revocations.terms import LIFTED, in_force, numbering, terms_of, widened
from tests.backends.revocation_list import revocation

KEY = bytes(range(32))
HEAD = Head(key=KEY, kinds=frozenset({"grant"}), cursor="17-0")
EVER = terms_of(revocation("grant", "any"))
NOW = 1_700_000_000


def spool(folder: Path, *records: int, head: Head = HEAD, fresh: bool = True) -> Order:
    """What a process leaves to be merged."""
    compaction = begin(folder, identity_of(folder / REVOKED))
    assert compaction is not None
    with compaction:
        compaction.spool(records)
        return compaction.order(head, fresh=fresh)


def built(folder: Path, *records: int, fresh: bool = True) -> Bulk:
    merge(folder, spool(folder, *records, fresh=fresh), NOW)
    return opened(folder / REVOKED)


def new(folder: Path) -> BinaryIO:
    """As a merge opens it."""
    descriptor = os.open(folder / REVOKED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return open(descriptor, "wb")


def test_a_million_numbers_are_found_and_no_other(tmp_path: Path) -> None:
    """Every single one of them, and none of those right beside them."""
    numbers = sorted(set(array("Q", random.Random(1).randbytes(8_000_000))))
    parts: list[array[int]] = [array("Q") for _ in range(PARTS)]
    for number in numbers:
        parts[number >> 56].extend((number, EVER))
    with new(tmp_path) as file:
        write(file, HEAD, parts, about=len(numbers))
    bulk = opened(tmp_path / REVOKED)
    holds, known = bulk.holds, set(numbers)
    assert bulk.head.rows == len(numbers)
    assert all(holds(number, 0.0, 0.0) for number in numbers)
    beside = (number + 1 for number in numbers[::5] if number + 1 not in known)
    assert not any(holds(number, 0.0, 0.0) for number in beside)
    bulk.close()


@pytest.mark.parametrize("edge", [0, 2**56 - 1, 2**56, 2**63, 2**64 - 1])
def test_numbers_at_the_edges_are_found(tmp_path: Path, edge: int) -> None:
    """Of the whole range, and of a part."""
    bulk = built(tmp_path, edge, EVER)
    assert bulk.holds(edge, 0.0, 0.0)
    assert not bulk.holds(edge ^ 1, 0.0, 0.0)
    bulk.close()


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    """As after everything was lifted."""
    bulk = built(tmp_path, 5, EVER, 5, LIFTED)
    assert bulk.head.rows == 0
    assert not bulk.holds(5, 0.0, 0.0)
    bulk.close()


def test_what_is_over_is_dropped_by_the_next_merge(tmp_path: Path) -> None:
    """An hour after it has ended, for clocks that were set back; what holds for ever stays."""
    over, late, fresh = (terms_of(revocation("grant", "any", expires=NOW - ago)) for ago in (3601, 3600, 0))
    built(tmp_path, 1, EVER).close()
    bulk = built(tmp_path, 2, over, 3, late, 4, fresh, fresh=False)
    assert [bulk.head.rows, bulk.holds(1, 0, NOW), bulk.holds(4, 0, NOW)] == [3, True, True]
    assert not bulk.holds(3, 0, NOW)
    assert bulk.holds(3, 0, NOW - 3600)
    bulk.close()


def test_a_merge_lifts_what_is_in_the_old_file(tmp_path: Path) -> None:
    """And keeps what was said after the lift."""
    until = terms_of(revocation("grant", "any", expires=NOW))
    built(tmp_path, 1, EVER, 2, EVER, 3, EVER).close()
    bulk = built(tmp_path, 1, LIFTED, 2, LIFTED, 2, until, fresh=False)
    assert [bulk.holds(number, 0, NOW) for number in (1, 2, 3)] == [False, True, True]
    assert not bulk.holds(2, 0, NOW + 1)
    bulk.close()


@pytest.mark.parametrize("cut", [0, 3, 4096, 5000, -8, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    """Wherever it ends: lost rows would be revocations that nobody misses."""
    built(tmp_path, *(word for number in range(100) for word in (number << 56, EVER))).close()
    path = tmp_path / REVOKED
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Unreadable):
        opened(path)


def test_one_changed_octet_anywhere_is_refused(tmp_path: Path) -> None:
    """In the head, the rows or the fence."""
    built(tmp_path, *(word for number in range(100) for word in (number << 56, EVER))).close()
    path = tmp_path / REVOKED
    whole = path.read_bytes()
    places = [0, 5, 9, 13, 40, 90, 4096, 4096 + 777, len(whole) - 9, len(whole) - 1]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(Unreadable):
            opened(path)


@pytest.mark.parametrize("content", [b"", b"no such file", b"CMR1" + bytes(5000), os.urandom(9000)])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever somebody has put there."""
    (tmp_path / REVOKED).write_bytes(content)
    with pytest.raises(Unreadable):
        opened(tmp_path / REVOKED)


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """They could take back what was revoked."""
    built(tmp_path, 1, EVER).close()
    (tmp_path / REVOKED).chmod(0o620)
    with pytest.raises(Unreadable, match="others"):
        opened(tmp_path / REVOKED)


def test_a_merge_that_dies_before_the_rename_changes_nothing(tmp_path: Path) -> None:
    """The old file stays whole, the lock is free again, and the next merge succeeds."""
    built(tmp_path, 1, EVER).close()
    before = (tmp_path / REVOKED).read_bytes()
    order = spool(tmp_path, 2, EVER, fresh=False)
    program = (
        "import os, signal, sys, msgspec\n"
        "from pathlib import Path\n"
        "from countermark.backends.revocations import merge as module\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=module.Order)\n"
        f"module.merge(Path({str(tmp_path)!r}), order, {NOW})\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", program],
        input=msgspec.msgpack.encode(order),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=30,
    )
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "revoked.new").exists()
    assert (tmp_path / REVOKED).read_bytes() == before
    bulk = built(tmp_path, 2, EVER, fresh=False)
    assert bulk.holds(1, 0, 0) and bulk.holds(2, 0, 0)
    bulk.close()


def test_nothing_is_built_on_a_file_that_was_torn_meanwhile(tmp_path: Path) -> None:
    """What it held would be lost, and the new cursor would say that it is there."""
    built(tmp_path, 1, EVER).close()
    order = spool(tmp_path, 2, EVER, fresh=False)
    (tmp_path / REVOKED).write_bytes(b"torn")
    with pytest.raises(Unreadable):
        merge(tmp_path, order, NOW)
    built(tmp_path, 1, EVER).close()
    with pytest.raises(Unreadable, match="key"):
        merge(tmp_path, Order(msgspec.structs.replace(HEAD, key=bytes(32)), fresh=False), NOW)


def test_one_process_compacts_at_a_time_and_only_what_it_has_seen(tmp_path: Path) -> None:
    """A second one is told to wait; so is one whose file is no longer the present one."""
    first = begin(tmp_path, None)
    assert isinstance(first, Compaction)
    assert begin(tmp_path, None) is None
    with first:
        pass
    built(tmp_path, 1, EVER).close()
    assert begin(tmp_path, None) is None
    again = begin(tmp_path, identity_of(tmp_path / REVOKED))
    assert again is not None
    with again:
        pass


def test_the_file_and_its_spool_are_not_for_others(tmp_path: Path) -> None:
    """The key of the numbering is in the file."""
    built(tmp_path, 1, EVER).close()
    assert (tmp_path / REVOKED).stat().st_mode & 0o077 == 0
    assert (tmp_path / SPOOL).stat().st_mode & 0o077 == 0


def test_numbers_are_keyed_blake2b_of_kind_and_value() -> None:
    """RFC 7693 with the key, eight octets; kinds are apart, and another key gives other numbers."""
    number = numbering(KEY)
    digest = blake2b(b"user\0jos\xc3\xa9", key=KEY, digest_size=8).digest()
    assert number("user", "josé") == int.from_bytes(digest, sys.byteorder)
    assert len({number("user", "a"), number("client", "a"), numbering(bytes(32))("user", "a")}) == 3
    assert number("user", "\udcff") != number("user", "\ufffd")


def test_terms_that_do_not_fit_hit_more_and_never_less() -> None:
    """A year beyond 2106, as milliseconds in place of seconds would be, is for ever; one before 1970 is over."""
    late = terms_of(revocation("user", "u", before=NOW * 1000, expires=NOW * 1000))
    assert in_force(late, 2.0**40, 2.0**40)
    past = terms_of(revocation("user", "u", before=-5, expires=-5))
    assert past != LIFTED
    assert not in_force(past, 0.0, float(NOW))


def test_terms_that_are_covered_by_others_are_not_kept() -> None:
    """Whoever is revoked every day until tomorrow has one row, not one for each day."""
    front: tuple[int, ...] = ()
    for day in range(50):
        front = widened(front, terms_of(revocation("user", "u", before=NOW + day, expires=NOW + 2 * day)))
    assert len(front) == 1
    assert widened(front, terms_of(revocation("user", "u", before=NOW, expires=NOW))) == front
    assert len(widened(front, terms_of(revocation("user", "u", before=NOW)))) == 2


def test_the_fence_follows_the_size(tmp_path: Path) -> None:
    """About twenty rows are left behind it, whether the file is small or large."""
    for rows in (1, 10_000, 300_000):
        parts: list[array[int]] = [array("Q") for _ in range(PARTS)]
        with new(tmp_path) as file:
            write(file, HEAD, parts, about=rows)
        bulk = opened(tmp_path / REVOKED)
        assert bulk.head.bits == 8 or 16 <= rows / 2**bulk.head.bits < 32
        bulk.close()
