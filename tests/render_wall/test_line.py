"""The line in front of the children: who may wait how long. The clock is an argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import Overloaded
from countermark.render.line import Line

TARGET = 0.05


def overloaded_line(spare: int = 2) -> tuple[Line[int], float]:
    """A line that has not been empty for its whole bound; waiters 0 and 1 have just joined."""
    line: Line[int] = Line(target=TARGET, spare=spare)
    line.join(-1, 0.0)
    now = line.bound
    line.join(0, now)
    line.leave(-1)
    line.join(1, now)
    return line, now


def test_first_come_is_first_served() -> None:
    """Whoever leaves from the middle changes nothing for the others."""
    line: Line[str] = Line(target=TARGET, spare=1)
    for name in "abc":
        line.join(name, 0.0)
    line.leave("b")
    line.leave("nobody")
    assert line.first() == "a"
    line.leave("a")
    assert (line.first(), len(line)) == ("c", 1)


def test_a_burst_may_wait_up_to_the_bound() -> None:
    """However long it is: nobody of it is turned away before, all of it then, but for the spare ones."""
    line: Line[int] = Line(target=TARGET, spare=1)
    for waiter in range(500):
        line.join(waiter, 10.0)
    assert line.bound == pytest.approx(1.5)
    assert line.next_turning(10.0) == pytest.approx(11.5)
    assert line.turn_away(11.49) == []
    assert len(line.turn_away(11.51)) == 500


def test_in_lasting_overload_nobody_waits_beyond_the_target() -> None:
    """Except as many at the head as there are children, who keep these busy."""
    line, now = overloaded_line()
    line.join(2, now + 0.01)
    line.join(3, now + 0.04)
    assert line.next_turning(now + 0.04) == pytest.approx(now + 0.06)
    assert [waiter for waiter, _ in line.turn_away(now + 0.061)] == [2]
    assert len(line) == 3


def test_in_lasting_overload_newcomers_are_refused_behind_a_late_head() -> None:
    """They would wait as long, and hear it later."""
    line, now = overloaded_line()
    with pytest.raises(Overloaded):
        line.join(2, now + 0.051)
    assert len(line) == 2


def test_an_empty_line_ends_the_overload() -> None:
    """The next burst is served whole again."""
    line, now = overloaded_line()
    line.leave(0)
    line.leave(1)
    assert line.next_turning(now) is None
    for waiter in range(100):
        line.join(waiter, now + 0.1)
    assert line.turn_away(now + 1.0) == []


def test_the_head_is_turned_away_at_the_bound_too() -> None:
    """When all children hang, nobody waits for ever."""
    line, now = overloaded_line()
    assert {waiter for waiter, _ in line.turn_away(now + line.bound)} == {0, 1}


@given(
    st.lists(st.tuples(st.sampled_from(["join", "serve", "turn"]), st.floats(0, 0.4)), max_size=200),
    st.integers(1, 4),
)
def test_nobody_is_lost_served_twice_or_late(steps: list[tuple[str, float]], spare: int) -> None:
    """Whatever the order of events: each who joined is served, turned away, or still waits within the bound."""
    line: Line[int] = Line(target=TARGET, spare=spare)
    now, joined, gone = 0.0, dict[int, float](), set[int]()
    for number, (step, pause) in enumerate(steps):
        now += pause
        if step == "join":
            try:
                line.join(number, now)
                joined[number] = now
            except Overloaded:
                continue
        elif step == "serve" and (first := line.first()) is not None:
            assert first not in gone
            line.leave(first)
            gone.add(first)
        else:
            turned = {waiter for waiter, _ in line.turn_away(now)}
            assert not turned & gone
            gone |= turned
            assert all(now - joined[waiter] < line.bound for waiter in joined.keys() - gone)
    assert len(line) == len(joined.keys() - gone)
