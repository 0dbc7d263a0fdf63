"""Cells: counts that workers share without a lock."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from countermark.backends.stores.cells import Cells
from countermark.core.errors import RateLimited
from countermark.traffic.gcra import Limit

NOW = 1_700_000_000.0


def limit(key: str, burst: int, interval: float = 1.0) -> Limit:
    return Limit(name="client", key=key, interval=interval, burst=burst)


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Cells]:
    table = Cells(tmp_path / "rates", wall_clock=lambda: NOW)
    yield table
    table.close()


def allowed(cells: Cells, ceiling: Limit, now: float = NOW) -> int:
    """How many of ten thousand requests come through."""
    count = 0
    for _ in range(10_000):
        try:
            cells.take((ceiling,), now)
        except RateLimited:
            return count
        count += 1
    return count


def test_two_tables_of_one_file_count_together(cells: Cells, tmp_path: Path) -> None:
    """They are what two workers have."""
    other = Cells(tmp_path / "rates")
    assert allowed(cells, limit("a", 5)) == 5
    assert allowed(other, limit("a", 5)) == 0
    assert allowed(other, limit("b", 5)) == 5
    assert allowed(cells, limit("b", 5)) == 0
    assert allowed(other, limit("a", 5), NOW + 2) == 2
    other.close()


def test_counts_survive_a_restart(cells: Cells, tmp_path: Path) -> None:
    """A reload of the gateway resets nobody's count."""
    assert allowed(cells, limit("a", 5, 3600)) == 5
    cells.close()
    next_ = Cells(tmp_path / "rates")
    assert allowed(next_, limit("a", 5, 3600)) == 0
    next_.close()


def test_many_names_do_not_disturb_each_other(cells: Cells) -> None:
    """Twenty thousand clients at once, each with its own count."""
    ceilings = [limit(f"client:{number}", 2, 60) for number in range(20_000)]
    assert all(allowed(cells, ceiling) == 2 for ceiling in ceilings)
    assert sum(allowed(cells, ceiling) for ceiling in ceilings) == 0


def test_a_full_table_forgets_and_goes_on(cells: Cells) -> None:
    """More names than cells: some count anew, none fails, and none is refused for another's requests."""
    for number in range(300_000):
        cells.take((limit(f"flood:{number}", 2, 60),), NOW)
    assert 1 <= allowed(cells, limit("flood:0", 2, 60)) <= 2
    assert allowed(cells, limit("late", 2, 60)) == 2


def test_strikes_in_a_row_are_counted_and_forgotten(cells: Cells, tmp_path: Path) -> None:
    """One after another, by whichever worker; a pardon or time ends the row."""
    other = Cells(tmp_path / "rates", wall_clock=lambda: NOW + 5)
    assert [cells.strike("s", 60), other.strike("s", 60), cells.strike("s", 60)] == [1, 2, 3]
    assert cells.strike("t", 60) == 1
    other.pardon("s")
    cells.pardon("never struck")
    assert cells.strike("s", 60) == 1
    other.close()
    later = Cells(tmp_path / "rates", wall_clock=lambda: NOW + 61)
    assert later.strike("s", 60) == 1
    later.close()


def test_strikes_have_a_top(cells: Cells) -> None:
    """A million failures are forgotten as soon as a thousand are."""
    assert max(cells.strike("s", 60) for _ in range(3000)) <= 1001


def test_a_name_may_be_any_text(cells: Cells) -> None:
    """It comes from a request: no spelling of it may break the count."""
    assert allowed(cells, limit("\udcff\0\n" + "x" * 10_000, 3)) == 3


@pytest.mark.parametrize("made", ["foreign", "link", "folder"])
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, made: str) -> None:
    """Each process then counts for itself; what stands there is not written to."""
    target = tmp_path / "rates"
    if made == "foreign":
        target.write_text("something else")
    elif made == "link":
        (tmp_path / "victim").write_bytes(b"\0" * 100_000)
        target.symlink_to(tmp_path / "victim")
    else:
        target.mkdir()
    table = Cells(target)
    assert allowed(table, limit("a", 3)) == 3
    table.close()
    if made == "foreign":
        assert target.read_text() == "something else"


def _count(file: str, start: object, answers: object) -> None:
    cells = Cells(Path(file), wall_clock=lambda: NOW)
    start.wait()
    answers.put(allowed(cells, limit("a", 2000, 3600)))
    cells.close()


def test_processes_that_race_admit_hardly_more(tmp_path: Path) -> None:
    """Four at once, which make the file together too: at least the burst, and nothing like a burst for each."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(4), context.Queue()
    children = [context.Process(target=_count, args=(os.fspath(tmp_path / "rates"), start, answers)) for _ in range(4)]
    for child in children:
        child.start()
    counts = [answers.get(timeout=40) for _ in children]
    for child in children:
        child.join()
    assert 2000 <= sum(counts) < 6000


def test_a_block_is_known_to_all_processes_and_ends(tmp_path: Path) -> None:
    """And blocks nobody else."""
    now = [1_700_000_000.0]
    ours, theirs = (Cells(tmp_path / "rates", wall_clock=lambda: now[0]) for _ in range(2))
    assert ours.blocked("192.0.2.1") == 0
    theirs.block("192.0.2.1", 30)
    assert ours.blocked("192.0.2.1") == 30
    assert ours.blocked("192.0.2.2") == 0
    now[0] += 31
    assert ours.blocked("192.0.2.1") == 0
    ours.close()
    theirs.close()


def test_what_is_drawn_ahead_is_counted_and_given_back(cells: Cells, tmp_path: Path) -> None:
    """In quick succession some are counted ahead, never more than they are few of many; what did not come counts as not
    come as soon as the same limit is asked for again."""
    other = Cells(tmp_path / "rates")
    many = (limit("many", 100_000, 3600.0),)
    remaining = [cells.take(many, NOW + number / 1000)[0].remaining for number in range(20)]
    assert remaining == sorted(remaining, reverse=True)
    # The draws of others are seen, and no request that came is missing.
    (seen,) = other.take((limit("many", 100_000, 3600.0),), NOW + 0.02)
    assert 100_000 - 20 - 1 - 8 <= seen.remaining <= 100_000 - 20 - 1
    (after,) = cells.take(many, NOW + 10)
    assert after.remaining == 100_000 - 20 - 1 - 1
    other.close()


def test_near_its_end_a_limit_is_counted_one_by_one(cells: Cells) -> None:
    """Whatever was drawn on the way there, all come through and none more."""
    ceiling = (limit("end", 9_000, 3600.0),)
    count = 0
    with pytest.raises(RateLimited):
        for number in range(10_000):
            cells.take(ceiling, NOW + number / 1e6)
            count += 1
    assert count == 9_000


def test_what_is_drawn_for_one_url_is_given_back_by_another(cells: Cells) -> None:
    """A client whose every URL is asked for twice in a row, and then never again, pays for two requests each."""
    urls = [(limit("client", 100_000, 3600.0),) for _ in range(500)]
    for number, ceilings in enumerate(urls):
        cells.take(ceilings, NOW + number / 10)
        cells.take(ceilings, NOW + number / 10 + 0.001)
    (seen,) = cells.take((limit("client", 100_000, 3600.0),), NOW + 100)
    assert seen.remaining == 100_000 - 2 * len(urls) - 1
