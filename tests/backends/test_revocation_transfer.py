"""The list of revocations as a file."""

from __future__ import annotations

import io

import pytest

from countermark.backends.revocations.transfer import BATCH, export, import_
from countermark.core.errors import ConfigurationInvalid
from tests.backends.revocation_list import MemoryList, revocation


@pytest.fixture
async def source() -> MemoryList:
    return MemoryList()


async def test_a_list_is_carried_to_another_store(source: MemoryList) -> None:
    """Entry by entry in its order, told batch by batch."""
    await source.append([revocation("user", f"u{number}", before=number) for number in range(2 * BATCH + 1)])
    await source.append([revocation("user", "u0", lifted=True)])
    file, told, other = io.BytesIO(), list[int](), MemoryList()
    assert await export(source, file, lambda count: None) == 2 * BATCH + 2
    file.seek(0)
    assert await import_(other, file, told.append, name="list.jsonl", now=0.0) == 2 * BATCH + 2
    assert other.entries == source.entries
    assert told == [BATCH, 2 * BATCH, 2 * BATCH + 2]


async def test_an_import_stops_at_a_wrong_line(source: MemoryList) -> None:
    """What it had read in whole batches stays; it says where to look."""
    good = b'{"kind":"user","value":"u"}\n'
    with pytest.raises(ConfigurationInvalid, match=rf"list\.jsonl:{BATCH + 2}:1"):
        await import_(source, io.BytesIO(good * (BATCH + 1) + b"bad\n"), lambda count: None, name="list.jsonl", now=0.0)
    assert len(source.entries) == BATCH


async def test_a_file_without_line_ends_costs_no_memory(source: MemoryList) -> None:
    """It is given up at the longest line that there may be."""
    file = io.BytesIO(b"x" * 10**7)
    with pytest.raises(ConfigurationInvalid, match="longer than"):
        await import_(source, file, lambda count: None, name="list.jsonl", now=0.0)
    assert file.tell() < 10**5
