"""Parcels: bounded each, bounded together, immutable once they are handed over."""

from __future__ import annotations

import mmap
import os

import pytest

from countermark.core.errors import Overloaded, PictureTooLarge
from countermark.render.parcel import Budget, MemoryParcel
from countermark.render.wire import SMALL

LARGE = SMALL + 1


@pytest.fixture
def budget() -> Budget:
    return Budget(4 * LARGE)


@pytest.mark.parametrize("size", [9, SMALL, LARGE, 3 * SMALL])
@pytest.mark.parametrize("by_inlet", [False, True])
def test_what_was_written_is_what_the_child_will_read(budget: Budget, size: int, by_inlet: bool) -> None:
    """Chunks in order, the head for sniffing, the size for the books; a small one without a file."""
    parcel = MemoryParcel(budget, 4 * LARGE)
    for chunk in (b"GIF8", b"9a", b""):
        parcel.write(chunk)
    rest = bytes(range(256)) * (size // 256) + bytes(size % 256)
    rest = rest[: size - 6]
    if by_inlet:
        with parcel.inlet(len(rest)) as inlet:
            inlet.write(rest)
    else:
        parcel.write(rest[: len(rest) // 2])
        parcel.write(rest[len(rest) // 2 :])
    assert (parcel.size, parcel.head(6), parcel.head(size + 1)) == (size, b"GIF89a", b"GIF89a" + rest)
    sealed = parcel.seal()
    assert isinstance(sealed, int) is (by_inlet or size > SMALL)
    if isinstance(sealed, int):
        with mmap.mmap(sealed, parcel.size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapped:
            sealed = mapped[:]
    assert sealed == b"GIF89a" + rest
    parcel.close()


def test_a_parcel_takes_no_byte_beyond_its_limit(budget: Budget) -> None:
    """The chunk that goes too far is refused whole, and not booked."""
    for size in (10, LARGE):
        parcel = MemoryParcel(budget, size)
        parcel.write(b"x" * size)
        with pytest.raises(PictureTooLarge):
            parcel.write(b"x")
        with pytest.raises(PictureTooLarge):
            parcel.inlet(1)
        assert (parcel.size, budget.held) == (size, size)
        parcel.close()


def test_all_parcels_together_are_bounded_and_closing_makes_room(budget: Budget) -> None:
    """The one that comes too late is told to come back; nothing of its chunk is kept."""
    first, second = MemoryParcel(budget, budget.limit), MemoryParcel(budget, budget.limit)
    first.write(b"x" * (budget.limit - 100))
    with pytest.raises(Overloaded):
        second.write(b"x" * 101)
    first.close()
    second.write(b"x" * 101)
    second.close()
    second.close()
    assert budget.held == 0


def test_a_forgotten_parcel_gives_its_memory_back(budget: Budget) -> None:
    """Its descriptor too."""
    parcel = MemoryParcel(budget, LARGE)
    parcel.write(b"x" * LARGE)
    descriptor = parcel.seal()
    assert isinstance(descriptor, int)
    del parcel
    assert budget.held == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("change", ["write", "cut", "grow", "map"])
def test_a_sealed_parcel_can_be_changed_by_nobody(budget: Budget, change: str) -> None:
    """Neither side can alter what the other checks, nor cut it while it is read (SIGBUS)."""
    parcel = MemoryParcel(budget, LARGE)
    parcel.write(b"x" * LARGE)
    descriptor = parcel.seal()
    assert isinstance(descriptor, int)
    assert parcel.seal() == descriptor
    with pytest.raises(PermissionError):
        if change == "write":
            os.pwrite(descriptor, b"y", 0)
        elif change == "map":
            mmap.mmap(descriptor, 100, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        else:
            os.ftruncate(descriptor, 10 if change == "cut" else 2 * LARGE)
    parcel.close()


@pytest.mark.parametrize("size", [100, LARGE])
def test_nothing_is_written_behind_a_seal(budget: Budget, size: int) -> None:
    """What was handed over stays what is rendered."""
    parcel = MemoryParcel(budget, 2 * LARGE)
    parcel.write(b"x" * size)
    parcel.seal()
    for use in (lambda: parcel.write(b"y"), lambda: parcel.inlet(1)):
        with pytest.raises(ValueError, match="sealed"):
            use()
    assert budget.held == size
    parcel.close()


def test_a_closed_parcel_says_so(budget: Budget) -> None:
    """Rather than touching a descriptor that may belong to somebody else by now."""
    parcel = MemoryParcel(budget, 1000)
    parcel.close()
    for use in (parcel.seal, lambda: parcel.head(1), lambda: parcel.write(b"x")):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert budget.held == 0
