"""The local copy of the list of revocations: nothing is lost, nothing forgotten for a moment, and it says when it is behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from countermark.backends.revocations.bulk import opened
from countermark.backends.revocations.compaction import begin
from countermark.backends.revocations.merge import REVOKED
from countermark.backends.revocations.replica import LocalRevocations
from countermark.core.errors import ConfigurationInvalid
from countermark.identity.revocation import Handle
from countermark.ports import RevocationReplica, Revoked
from tests.backends.revocation_list import PAGE, MemoryList, revocation
from tests.backends.waiting import eventually

Start = Callable[..., LocalRevocations]
NOW = 1_700_000_000.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source() -> MemoryList:
    return MemoryList()


@pytest.fixture
async def replica_of(source: MemoryList, tmp_path: Path) -> AsyncIterator[Start]:
    """Makes replicas over one folder, as the processes of one machine have them."""
    made: list[LocalRevocations] = []

    def make(**options: object) -> LocalRevocations:
        made.append(LocalRevocations(source, tmp_path / "copy", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for replica in made:
        await replica.close()


def revoked(replica: RevocationReplica, value: str, *, issued: float = 0.0) -> Revoked | None:
    return replica.find((Handle("user", value),), issued, NOW)


def users(start: int, end: int) -> list:
    return [revocation("user", f"u{number}") for number in range(start, end)]


async def test_what_is_revoked_is_found_and_changes_the_version(source: MemoryList, replica_of: Start) -> None:
    """With its reason while it is new; a lift ends it, and changes the version again."""
    replica = replica_of()
    await replica.start()
    assert replica.stale == ""
    before = replica.version
    await source.append([revocation("user", "eve"), revocation("session", "s1")])
    await eventually(lambda: revoked(replica, "eve") is not None)
    assert replica.version != before
    assert revoked(replica, "eve") == Revoked(kind="user")
    assert revoked(replica, "s1") is None
    between, lifts = replica.version, replica.lifts
    await source.append([revocation("user", "eve", lifted=True)])
    await eventually(lambda: revoked(replica, "eve") is None)
    assert replica.version != between
    assert replica.lifts != lifts
    lifts = replica.lifts
    await source.append([revocation("user", "adam")])
    await eventually(lambda: revoked(replica, "adam") is not None)
    assert replica.lifts == lifts


async def test_the_first_handle_that_is_revoked_is_named(source: MemoryList, replica_of: Start) -> None:
    """Handles come narrowest first, so that the answer is the narrowest."""
    await source.append([revocation("client", "acme"), revocation("grant", "g1")])
    replica = replica_of()
    await replica.start()
    found = replica.find((Handle("user", "u"), Handle("grant", "g1"), Handle("client", "acme")), 0.0, NOW)
    assert found == Revoked(kind="grant")


async def test_before_the_first_load_it_is_stale(source: MemoryList, replica_of: Start) -> None:
    """A gateway that starts without its store says so, and loads once the store is there."""
    source.down = True
    await source.append([revocation("user", "eve")])
    replica = replica_of()
    await replica.start(patience=0.05)
    assert replica.stale.startswith("the list of revocations is not loaded yet")
    assert revoked(replica, "eve") is None
    source.down = False
    await eventually(lambda: replica.stale == "")
    assert revoked(replica, "eve") is not None


async def test_silence_beyond_the_bound_is_stale(source: MemoryList, replica_of: Start) -> None:
    """With the reason; a word from the store ends it, and what was said meanwhile is known by then."""
    clock = Clock()
    replica = replica_of(max_staleness=0.2, clock=clock)
    await replica.start()
    clock.now = 0.19
    source.silent = True
    assert replica.stale == ""
    clock.now = 30.0
    assert replica.stale.startswith("nothing was heard of the list of revocations for")
    await source.append([revocation("user", "eve")])
    source.silent = False
    source.cut()
    await eventually(lambda: replica.stale == "")
    assert revoked(replica, "eve") is not None


async def test_a_silent_connection_is_given_up(source: MemoryList, replica_of: Start) -> None:
    """A peer that is gone without a word, as behind a dropped firewall state, is not waited for."""
    replica = replica_of(max_staleness=0.1)
    await replica.start()
    source.silent = True
    await source.append([revocation("user", "eve")])
    await eventually(lambda: replica.stale != "")
    source.silent = False
    await eventually(lambda: revoked(replica, "eve") is not None and replica.stale == "")


async def test_nothing_is_lost_over_a_hundred_disconnects(source: MemoryList, replica_of: Start) -> None:
    """Entries are added while connections break; it resumes from its cursor and reads none of the list twice."""
    replica = replica_of()
    await replica.start()
    reads = len(source.reads)
    for number in range(100):
        await source.append(users(3 * number, 3 * number + 2))
        source.cut()
        await source.append(users(3 * number + 2, 3 * number + 3))
        await eventually(lambda number=number: revoked(replica, f"u{3 * number + 2}") is not None)
    assert source.cuts == 100
    assert all(revoked(replica, f"u{number}") for number in range(300))
    assert len(source.reads) == reads


async def test_an_unexpected_fault_of_the_store_does_not_end_the_following(
    source: MemoryList, replica_of: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page that cannot be read must not leave this process behind for ever."""
    replica = replica_of()
    await replica.start()
    with monkeypatch.context() as patch:
        patch.setattr(MemoryList, "_refuse_while_down", lambda self: 1 / 0)
        source.cut()
        await eventually(lambda: "division" in replica._trouble)
    await source.append([revocation("user", "eve")])
    await eventually(lambda: revoked(replica, "eve") is not None)


async def test_many_are_merged_into_the_file_and_all_processes_go_on_from_it(
    source: MemoryList, replica_of: Start, tmp_path: Path
) -> None:
    """Each has then next to nothing in its own memory, and every answer is as it was."""
    replicas = [replica_of(newest=100) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    await source.append([revocation("user", "gone"), *users(0, 150), revocation("user", "gone", lifted=True)])
    await source.append([revocation("user", "early", before=500)])

    def renewed() -> bool:
        return all(one._copy is not None and one._copy.bulk is not None for one in replicas)

    await eventually(renewed)
    file = opened(tmp_path / "copy" / REVOKED)
    assert file.head.rows >= 150
    file.close()
    for replica in replicas:
        assert replica._copy is not None
        assert len(replica._copy.newest.entries) <= 100
        assert all(revoked(replica, f"u{number}") for number in range(150))
        assert revoked(replica, "gone") is None
        assert revoked(replica, "early", issued=499.0)
        assert revoked(replica, "early", issued=500.0) is None
        assert replica.stale == ""


async def test_an_entry_of_the_file_can_be_lifted_and_revoked_again(source: MemoryList, replica_of: Start) -> None:
    """What is newer always counts more than what is in the file."""
    await source.append(users(0, 300))
    replica = replica_of(newest=100)
    await replica.start()
    assert revoked(replica, "u7") == Revoked(kind="user")
    await source.append([revocation("user", "u7", lifted=True)])
    await eventually(lambda: revoked(replica, "u7") is None)
    await source.append([revocation("user", "u7", before=100)])
    await eventually(lambda: revoked(replica, "u7", issued=99.0) is not None)
    assert revoked(replica, "u7", issued=100.0) is None


async def test_a_start_reads_only_what_came_after_the_file(source: MemoryList, replica_of: Start) -> None:
    """The file says up to where it holds the list."""
    await source.append(users(0, 3 * PAGE))
    first = replica_of(newest=100)
    await first.start()
    await first.close()
    await source.append(users(3 * PAGE, 3 * PAGE + 5))
    source.reads.clear()
    second = replica_of(newest=100)
    await second.start()
    assert source.reads == [str(3 * PAGE), str(3 * PAGE + 5)]
    assert revoked(second, "u0") and revoked(second, f"u{3 * PAGE + 4}")


async def test_processes_that_start_together_build_one_file(source: MemoryList, replica_of: Start) -> None:
    """The others wait for it rather than hold the whole list in their memory."""
    await source.append(users(0, 3 * PAGE))
    replicas = [replica_of(newest=100) for _ in range(3)]
    await asyncio.gather(*(replica.start(patience=30) for replica in replicas))
    copies = [replica._copy for replica in replicas]
    assert len({copy.identity for copy in copies if copy}) == 1
    assert all(len(copy.newest.entries) == 0 for copy in copies if copy)
    assert all(revoked(replica, f"u{number}") for replica in replicas for number in (0, PAGE, 3 * PAGE - 1))


@pytest.mark.parametrize("content", [b"garbage" * 1000, None])
async def test_a_file_that_cannot_be_used_is_built_anew_from_the_store(
    source: MemoryList, replica_of: Start, tmp_path: Path, content: bytes | None
) -> None:
    """Garbage, and a file that was cut."""
    await source.append(users(0, PAGE))
    first = replica_of(newest=100)
    await first.start()
    await first.close()
    path = tmp_path / "copy" / REVOKED
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    second = replica_of(newest=100)
    await second.start()
    assert all(revoked(second, f"u{number}") for number in range(PAGE))
    opened(path).close()


async def test_a_process_whose_sibling_compacts_goes_on_by_itself(
    source: MemoryList, replica_of: Start, tmp_path: Path
) -> None:
    """However long that takes: the lock decides who merges, never who is right."""
    replica = replica_of(newest=10)
    await replica.start()
    busy = begin(tmp_path / "copy", None)
    assert busy is not None
    with busy:
        await source.append(users(0, 200))
        await eventually(lambda: revoked(replica, "u199") is not None)
        assert replica.stale == ""
        assert not (tmp_path / "copy" / REVOKED).exists()
    await eventually(lambda: (tmp_path / "copy" / REVOKED).exists())


async def test_a_folder_that_breaks_later_costs_no_answer(
    source: MemoryList, replica_of: Start, tmp_path: Path
) -> None:
    """A full disk, a lost mount: the copy in memory goes on."""
    replica = replica_of(newest=10)
    await replica.start()
    os.rename(tmp_path / "copy", tmp_path / "elsewhere")
    (tmp_path / "copy").write_text("no folder any more")
    await source.append(users(0, 50))
    await eventually(lambda: revoked(replica, "u49") is not None and replica._renew_beyond > 10)
    await source.append(users(50, 60))
    await eventually(lambda: revoked(replica, "u59") is not None)
    assert replica.stale == ""


async def test_a_folder_that_cannot_be_made_is_told_at_once(source: MemoryList, tmp_path: Path) -> None:
    """By the name of its setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationInvalid, match=r"revocation\.folder"):
        await LocalRevocations(source, tmp_path / "file" / "copy").start()


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a file system that takes nothing, not even root's")
async def test_a_folder_that_takes_nothing_is_not_needed(source: MemoryList) -> None:
    """As on a read-only root: the list is kept in memory, and what is revoked is found."""
    replica = LocalRevocations(source, Path("/sys/kernel/countermark"))
    await replica.start()
    try:
        await source.append(users(0, 5))
        await eventually(lambda: revoked(replica, "u4") is not None)
        assert replica.stale == ""
    finally:
        await replica.close()


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a file system that takes nothing, not even root's")
async def test_a_list_too_long_for_memory_is_never_taken_for_whole(source: MemoryList) -> None:
    """It says why, so that what must fail closed does."""
    await source.append(users(0, 50))
    replica = LocalRevocations(source, Path("/sys/kernel/countermark"), newest=10)
    await replica.start(patience=0.2)
    try:
        assert "not loaded yet" in replica.stale
        assert "/sys/kernel/countermark" in replica.stale
    finally:
        await replica.close()


async def test_an_answer_is_never_forgotten_while_files_change(source: MemoryList, replica_of: Start) -> None:
    """What was revoked once is revoked at every later moment, over many merges and remaps."""
    replicas = [replica_of(newest=20) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    known = [0, 0]
    for step in range(40):
        await source.append(users(10 * step, 10 * step + 10))
        for _ in range(5):
            await asyncio.sleep(0)
            for index, replica in enumerate(replicas):
                while revoked(replica, f"u{known[index]}"):
                    known[index] += 1
                assert all(revoked(replica, f"u{number}") for number in range(known[index]))
        await eventually(lambda step=step: all(revoked(one, f"u{10 * step + 9}") for one in replicas))
    await eventually(lambda: all(one._copy is not None and one._copy.bulk is not None for one in replicas))
    assert all(revoked(replica, f"u{number}") for replica in replicas for number in range(400))
