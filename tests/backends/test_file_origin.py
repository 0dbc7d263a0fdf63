"""What only a folder can do wrong."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from countermark.backends.origins.beneath import on_own_disk, open_beneath
from countermark.backends.origins.file import CHUNK, FileOrigin, open_file
from countermark.core.errors import OriginalMissing, OriginDenied, OriginUnreachable
from countermark.render.parcel import Budget, MemoryParcel
from countermark.settings.model import OriginSettings
from tests.backends.waiting import descriptors, eventually


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return folder


@pytest.fixture(params=["at hand", "by a thread"])
async def origin(photos: Path, request: pytest.FixtureRequest) -> AsyncIterator[FileOrigin]:
    """On a disk of this machine, and as on a network's."""
    opened = await open_file("photos", OriginSettings(url=f"file://{photos}"))
    opened._quick = request.param == "at hand"
    yield opened
    await opened.close()


async def read(origin: FileOrigin, key: str) -> bytes:
    async with origin.open(key) as body:
        return b"".join([chunk async for chunk in body.chunks()])


async def test_a_link_that_leads_outside_is_not_followed(photos: Path, origin: FileOrigin) -> None:
    """Neither an absolute nor a climbing link, of a file or of a folder, opens what lies beside the folder."""
    (photos / "absolute.jpg").symlink_to(photos.parent / "secret.jpg")
    (photos / "climbing.jpg").symlink_to("../secret.jpg")
    (photos / "parent").symlink_to("..")
    (photos / "loop").symlink_to("loop")
    for key in ("absolute.jpg", "climbing.jpg", "parent/secret.jpg", "loop"):
        with pytest.raises(OriginalMissing):
            await read(origin, key)


async def test_a_link_that_stays_inside_is_followed(photos: Path, origin: FileOrigin) -> None:
    """A link such as `latest` within the folder is part of it."""
    (photos / "2024").mkdir()
    (photos / "2024" / "cat.jpg").write_bytes(b"meow")
    (photos / "latest").symlink_to("2024")
    assert await read(origin, "latest/cat.jpg") == b"meow"


async def test_only_regular_files_are_originals(photos: Path, origin: FileOrigin) -> None:
    """A pipe without a writer does not hang, and folders, sockets and paths through files are missing."""
    os.mkfifo(photos / "pipe")
    (photos / "folder").mkdir()
    (photos / "file").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(photos / "socket"))
        for key in ("pipe", "folder", "socket", "file/below", "n" * 300):
            with pytest.raises(OriginalMissing):
                await read(origin, key)
            with pytest.raises(OriginalMissing):
                await origin.stat(key)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_denied(photos: Path, origin: FileOrigin) -> None:
    """A wrong mode is told apart from a missing file."""
    (photos / "closed.jpg").write_bytes(b"x")
    (photos / "closed.jpg").chmod(0)
    with pytest.raises(OriginDenied):
        await read(origin, "closed.jpg")


async def test_a_file_that_becomes_shorter_is_an_error(photos: Path, origin: FileOrigin) -> None:
    """Half a picture never ends as if it were whole."""
    file = photos / "cat.jpg"
    file.write_bytes(bytes(3 * CHUNK))
    with pytest.raises(OriginUnreachable, match="shorter"):
        async with origin.open("cat.jpg") as body:
            async for _ in body.chunks():
                os.truncate(file, CHUNK + 1)


async def test_a_file_that_is_written_to_is_an_error(photos: Path, origin: FileOrigin) -> None:
    """The first half of one version and the second half of the next are not a picture."""
    file = photos / "cat.jpg"
    file.write_bytes(bytes(3 * CHUNK))
    os.utime(file, (1, 1))
    with pytest.raises(OriginUnreachable, match="changed"):
        async with origin.open("cat.jpg") as body:
            async for _ in body.chunks():
                with file.open("r+b") as writer:
                    writer.write(b"new")


async def test_a_small_file_takes_one_visit_to_a_thread_or_none(
    photos: Path, origin: FileOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open, stat, read and close of a 60 kB picture are one job; to pour 2.4 MB into a parcel takes one more.

    What the kernel has in memory needs no thread but for the rest of a large file.
    """
    (photos / "small.jpg").write_bytes(bytes(60_000))
    (photos / "large.jpg").write_bytes(bytes(2_400_000))
    jobs: list[object] = []
    submit = origin._threads.submit

    def counted(*arguments: object) -> object:
        jobs.append(arguments)
        return submit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(origin._threads, "submit", counted)
    await origin.stat("small.jpg")
    jobs.clear()
    await read(origin, "small.jpg")
    assert len(jobs) == (0 if origin._quick else 1)
    jobs.clear()
    parcel = MemoryParcel(Budget(10**7), 10**7)
    async with origin.open("large.jpg") as body:
        await body.pour(parcel)
    parcel.close()
    assert len(jobs) == (1 if origin._quick else 2)


async def test_what_the_kernel_has_forgotten_is_read_by_a_thread(photos: Path, origin: FileOrigin) -> None:
    """Nobody waits for a disk on the event loop; the bytes are the same."""
    content = os.urandom(300_000)
    with (photos / "cold.jpg").open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        for start, length in ((0, 0), (2**16, 0)):  # all of it, then all but its beginning
            os.posix_fadvise(file.fileno(), start, length, os.POSIX_FADV_DONTNEED)
            assert await read(origin, "cold.jpg") == content
            assert (await origin.stat("cold.jpg")).size == len(content)


def test_a_network_or_a_process_is_no_disk_of_this_machine(tmp_path: Path) -> None:
    """/proc stands for the file systems whose answers may keep one waiting."""
    folder = os.open("/proc", os.O_PATH)
    try:
        assert not on_own_disk(folder)
    finally:
        os.close(folder)


def test_a_path_across_a_mount_is_not_at_hand() -> None:
    """What lies on another file system may be slow, whatever the folder is."""
    folder = os.open("/", os.O_PATH)
    try:
        os.close(open_beneath(folder, "dev/null"))
        with pytest.raises(OSError) as refused:
            open_beneath(folder, "dev/null", at_hand=True)
        assert refused.value.errno in (errno.EXDEV, errno.EAGAIN)
    finally:
        os.close(folder)


async def test_errors_leave_no_descriptors(photos: Path, origin: FileOrigin) -> None:
    """What was opened before it was refused is closed again."""
    (photos / "folder").mkdir()
    os.mkfifo(photos / "pipe")
    before = descriptors()
    for key in ("folder", "pipe", "missing") * 10:
        with pytest.raises(OriginalMissing):
            await read(origin, key)
    await eventually(lambda: descriptors() <= before)
