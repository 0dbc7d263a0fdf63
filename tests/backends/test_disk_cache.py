"""The cache on disk, with real files and real processes."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.backends.caches.disk import QUEUE, DiskCache, open_disk
from countermark.backends.caches.entry import Torn, pack, unpack
from countermark.core.errors import ConfigurationInvalid
from countermark.core.picture import Rendition

LIMIT = 10**6


def picture(body: bytes, mark: str = '"m"') -> Rendition:
    return Rendition(
        body=body, content_type="image/avif", etag=mark, validator='W/"v"', made=1.5, modified=2.5, width=3, height=4
    )


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[DiskCache]:
    opened = open_disk(str(tmp_path), LIMIT)
    yield opened
    await opened.close()


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.glob("??/*") if path.is_file()]


async def run(code: str, *arguments: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *map(str, arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "proxy"},
    )


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_what_was_put_is_got_also_by_another_process(tmp_path: Path, cache: DiskCache) -> None:
    """Every field survives; what was never put, or dropped, is a miss."""
    kept = picture(b"body" * 1000)
    await cache.put(b"a", kept)
    other = open_disk(str(tmp_path), LIMIT)
    assert await other.get(b"a") == kept
    assert await other.get(b"b") is None
    await other.drop(b"a")
    assert await cache.get(b"a") is None
    await other.close()
    assert (other.counts.hits, other.counts.misses, cache.counts.puts) == (1, 1, 1)


async def test_a_later_put_replaces(cache: DiskCache, tmp_path: Path) -> None:
    """One key, one file."""
    await cache.put(b"a", picture(b"one"))
    await cache.put(b"a", picture(b"two"))
    found = await cache.get(b"a")
    assert found is not None and found.body == b"two"
    assert len(entries(tmp_path)) == 1


async def test_only_the_owner_may_read_it(cache: DiskCache, tmp_path: Path) -> None:
    """The pictures are private, on disk too."""
    await cache.put(b"a", picture(b"private"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))


@given(st.binary(max_size=300), st.data())
def test_an_entry_of_which_one_byte_is_wrong_is_torn(body: bytes, data: st.DataObject) -> None:
    """A changed, missing or added byte anywhere, or another key, never makes a picture."""
    whole = b"".join(pack(b"key", picture(body)))
    assert unpack(b"key", whole) == picture(body)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for wrong in (flipped, whole[:at], whole + b"x"):
        with pytest.raises(Torn):
            unpack(b"key", wrong)
    with pytest.raises(Torn):
        unpack(b"other", whole)


@pytest.mark.parametrize("damage", ["cut", "empty", "zeroes", "another's"])
async def test_a_damaged_entry_is_a_miss_and_removed(cache: DiskCache, tmp_path: Path, damage: str) -> None:
    """What a crash of the machine leaves behind is not served."""
    await cache.put(b"b", picture(b"other"))
    (other,) = entries(tmp_path)
    foreign = other.read_bytes()
    await cache.drop(b"b")
    await cache.put(b"a", picture(b"x" * 10_000))
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:5000], "empty": b"", "zeroes": bytes(len(whole)), "another's": foreign}[damage])
    assert await cache.get(b"a") is None
    assert entries(tmp_path) == []
    assert cache.counts.torn == 1
    await cache.put(b"a", picture(b"again"))
    assert await cache.get(b"a") == picture(b"again")


async def test_the_folder_stays_within_its_bound_and_keeps_what_is_used(cache: DiskCache, tmp_path: Path) -> None:
    """The least recently used files go when it is full."""
    await cache.put(b"favourite", picture(b"f" * 50_000))
    for number in range(60):
        await cache.put(b"%d" % number, picture(bytes(50_000)))
        for path in entries(tmp_path):  # everything was used long ago
            os.utime(path, (number, number))
        assert await cache.get(b"favourite") is not None  # but this one is in use
        assert used(tmp_path) <= LIMIT
    assert cache.counts.evicted > 0
    assert len(entries(tmp_path)) >= 10


async def test_a_hit_is_noted_at_most_once_a_minute(cache: DiskCache, tmp_path: Path) -> None:
    """Reading does not write each time."""
    await cache.put(b"a", picture(b"x"))
    (path,) = entries(tmp_path)
    fresh = path.stat().st_mtime_ns
    await cache.get(b"a")
    assert path.stat().st_mtime_ns == fresh
    os.utime(path, (1, 1))
    await cache.get(b"a")
    assert path.stat().st_mtime_ns >= fresh


async def test_an_entry_larger_than_the_folder_is_declined(cache: DiskCache, tmp_path: Path) -> None:
    """And pushes nothing out."""
    await cache.put(b"a", picture(b"x"))
    await cache.put(b"giant", picture(bytes(LIMIT)))
    assert await cache.get(b"giant") is None
    assert await cache.get(b"a") is not None
    assert cache.counts.declined == 1


def full(*_: object) -> int:
    """A disk without any room."""
    raise OSError(errno.ENOSPC, "No space left on device")


def nearly_full(file: int, parts: Sequence[bytes]) -> int:
    """A disk with room for a part."""
    return os.write(file, parts[0])


@pytest.mark.parametrize("write", [full, nearly_full])
async def test_a_failing_disk_is_a_miss_and_counted(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., int]
) -> None:
    """Neither reader nor writer raises, and the next put works again once there is room."""
    with monkeypatch.context() as patched:
        patched.setattr("os.writev", write)
        await cache.put(b"a", picture(b"x"))
    assert cache.counts.errors == 1
    assert await cache.get(b"a") is None
    await cache.put(b"a", picture(b"x"))
    assert await cache.get(b"a") is not None
    (path,) = entries(tmp_path)
    path.unlink()
    path.mkdir()  # reading a folder fails with another error than a missing file
    assert await cache.get(b"a") is None
    assert cache.counts.errors == 2


async def test_a_really_full_disk_keeps_what_it_has(tmp_path: Path) -> None:
    """A file size limit of the kernel cuts the write midway: no torn entry stays, and the old ones are still served."""
    done = await run(_FILL, tmp_path)
    output, _ = await asyncio.wait_for(done.communicate(), 30)
    assert output.split() == [b"True", b"None", b"1"]
    assert len(entries(tmp_path)) == 1
    assert not (tmp_path / "new").exists()


async def test_a_slow_disk_does_not_pile_up_what_waits(cache: DiskCache, tmp_path: Path) -> None:
    """Beyond a bounded number of waiting writes new ones are declined, not kept in memory."""
    lock = await run(_HOLD_LOCK, tmp_path / "lock")
    assert lock.stdout is not None
    await asyncio.wait_for(lock.stdout.readline(), 30)
    puts = [asyncio.create_task(cache.put(b"%d" % number, picture(b"x"))) for number in range(QUEUE + 10)]
    done, waiting = await asyncio.wait(puts, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting), cache.counts.declined) == (10, QUEUE, 10)
    await asyncio.wait_for(lock.communicate(b""), 30)
    await asyncio.wait_for(asyncio.gather(*puts), 30)
    assert cache.counts.puts == QUEUE


async def test_a_writer_that_is_killed_midway_harms_nobody(tmp_path: Path) -> None:
    """Killed five times at any moment: the lock is free, each entry is whole or absent, and the bound holds."""
    for _ in range(5):
        writer = await run(_WRITE_FOR_EVER, tmp_path, LIMIT)
        assert writer.stdout is not None
        for _ in range(2):
            await asyncio.wait_for(writer.stdout.readline(), 30)
        writer.kill()
        await asyncio.wait_for(writer.communicate(b""), 30)
    cache = open_disk(str(tmp_path), LIMIT)
    found = [await cache.get(b"%d" % number) for number in range(100)]
    assert any(found)
    assert all(rendition.body == bytes(30_000) for rendition in found if rendition)
    assert cache.counts.torn == 0
    for number in range(100):
        await cache.put(b"n%d" % number, picture(bytes(30_000)))
    assert used(tmp_path) <= LIMIT
    assert cache.counts.errors == 0
    await cache.close()


async def test_two_processes_share_one_bound(tmp_path: Path) -> None:
    """Both write at once, and together they stay below the limit that each was told."""
    writers = [await run(_WRITE_SOME, tmp_path, LIMIT, start) for start in (0, 1000)]
    for writer in writers:
        output, _ = await asyncio.wait_for(writer.communicate(b""), 30)
        assert output.split() == [b"100", b"0"]
    assert LIMIT // 2 < used(tmp_path) <= LIMIT


async def test_a_lost_count_is_made_again(tmp_path: Path, cache: DiskCache) -> None:
    """Without its eight octets the folder is counted from what lies in it."""
    for number in range(10):
        await cache.put(b"%d" % number, picture(bytes(50_000)))
    os.truncate(tmp_path / "lock", 0)
    for number in range(10, 30):
        await cache.put(b"%d" % number, picture(bytes(50_000)))
        assert used(tmp_path) <= LIMIT


async def test_a_folder_that_cannot_be_used_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """It is told at the start, not as a cache that never hits."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationInvalid):
        open_disk(str(tmp_path / "file"), LIMIT)


_HOLD_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""

_WRITE_FOR_EVER = """
import asyncio, sys
from countermark.backends.caches.disk import open_disk
from countermark.core.picture import Rendition
async def main():
    cache = open_disk(sys.argv[1], int(sys.argv[2]))
    picture = Rendition(body=bytes(30_000), content_type="", etag="", validator="", made=0.0)
    while True:
        for number in range(100):
            await cache.put(b"%d" % number, picture)
        print("round", flush=True)
asyncio.run(main())
"""

_WRITE_SOME = """
import asyncio, sys
from countermark.backends.caches.disk import open_disk
from countermark.core.picture import Rendition
async def main():
    cache = open_disk(sys.argv[1], int(sys.argv[2]))
    picture = Rendition(body=bytes(30_000), content_type="", etag="", validator="", made=0.0)
    for number in range(100):
        await cache.put(b"%d" % (number + int(sys.argv[3])), picture)
    print(cache.counts.puts, cache.counts.errors)
    await cache.close()
asyncio.run(main())
"""

_FILL = """
import asyncio, resource, signal, sys
from countermark.backends.caches.disk import open_disk
from countermark.core.picture import Rendition
async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    cache = open_disk(sys.argv[1], 10**7)
    def picture(size): return Rendition(body=bytes(size), content_type='', etag='', validator='', made=0.0)
    await cache.put(b'old', picture(1000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    await cache.put(b'new', picture(100_000))
    print(await cache.get(b'old') is not None, await cache.get(b'new'), cache.counts.errors)
    await cache.close()
asyncio.run(main())
"""
