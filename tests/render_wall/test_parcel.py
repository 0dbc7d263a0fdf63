"""Parcels: bounded each, bounded together, immutable once they are handed over."""

from __future__ import annotations

import mmap
import os

import pytest

from countermark.core.errors import Overloaded, PictureTooLarge
from countermark.render.parcel import Budget, MemoryParcel


@pytest.fixture
def budget() -> Budget:
    return Budget(1000)


def test_what_was_written_is_what_the_child_will_map(budget: Budget) -> None:
    """Chunks in order, the head for sniffing, the size for the books."""
    parcel = MemoryParcel(budget, 100)
    for chunk in (b"GIF8", b"9a", b"", b"..."):
        parcel.write(chunk)
    assert (parcel.size, parcel.head(6), parcel.head(999)) == (9, b"GIF89a", b"GIF89a...")
    with mmap.mmap(parcel.seal(), parcel.size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == b"GIF89a..."
    parcel.close()


def test_a_parcel_takes_no_byte_beyond_its_limit(budget: Budget) -> None:
    """The chunk that goes too far is refused whole, and not booked."""
    parcel = MemoryParcel(budget, 10)
    parcel.write(b"x" * 10)
    with pytest.raises(PictureTooLarge):
        parcel.write(b"x")
    assert (parcel.size, budget.held) == (10, 10)
    parcel.close()


def test_all_parcels_together_are_bounded_and_closing_makes_room(budget: Budget) -> None:
    """The one that comes too late is told to come back; nothing of its chunk is kept."""
    first, second = MemoryParcel(budget, 1000), MemoryParcel(budget, 1000)
    first.write(b"x" * 900)
    with pytest.raises(Overloaded):
        second.write(b"x" * 101)
    first.close()
    second.write(b"x" * 101)
    second.close()
    second.close()
    assert budget.held == 0


def test_a_forgotten_parcel_gives_its_memory_back(budget: Budget) -> None:
    """Its descriptor too."""
    parcel = MemoryParcel(budget, 1000)
    parcel.write(b"x" * 500)
    descriptor = parcel.seal()
    del parcel
    assert budget.held == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("change", ["write", "cut", "grow", "map"])
def test_a_sealed_parcel_can_be_changed_by_nobody(budget: Budget, change: str) -> None:
    """Neither side can alter what the other checks, nor cut it while it is read (SIGBUS)."""
    parcel = MemoryParcel(budget, 1000)
    parcel.write(b"x" * 100)
    descriptor = parcel.seal()
    assert parcel.seal() == descriptor
    with pytest.raises(PermissionError):
        if change == "write":
            os.pwrite(descriptor, b"y", 0)
        elif change == "map":
            mmap.mmap(descriptor, 100, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        else:
            os.ftruncate(descriptor, 10 if change == "cut" else 200)
    parcel.close()


def test_a_closed_parcel_says_so(budget: Budget) -> None:
    """Rather than touching a descriptor that may belong to somebody else by now."""
    parcel = MemoryParcel(budget, 1000)
    parcel.close()
    for use in (parcel.seal, lambda: parcel.head(1), lambda: parcel.write(b"x")):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert budget.held == 0
