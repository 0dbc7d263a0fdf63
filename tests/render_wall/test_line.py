"""The line in front of the children: who may wait how long. The clock is an argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import Overloaded
from countermark.render.line import Line

TARGET = 0.05
PACE = 0.01


def crowded_line(spare: int = 2, waiting: int = 4) -> tuple[Line[int], float]:
    """A line that has moved every PACE seconds for longer than its bound and was never empty; `waiting` stand in it."""
    line: Line[int] = Line(target=TARGET, spare=spare)
    now = 100.0
    for number in range(-waiting, 0):
        line.join(number, now)
    for number in range(200):
        now += PACE
        line.join(number, now)
        first = line.first()
        assert first is not None
        line.serve(first, now)
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
    """As long as the line's pace is not known: nobody of it is turned away before, all of it then."""
    line: Line[int] = Line(target=TARGET, spare=1)
    for waiter in range(500):
        line.join(waiter, 10.0)
    assert line.bound == pytest.approx(0.2)
    assert line.next_turning() == pytest.approx(10.2)
    assert line.turn_away(10.199) == []
    assert len(line.turn_away(10.201)) == 500


def test_in_a_lasting_crowd_newcomers_are_refused_at_the_door() -> None:
    """At once, when their wait by the line's pace would be beyond the target; before that they are let in."""
    line, now = crowded_line()
    line.join(1000, now)
    line.join(1001, now)
    with pytest.raises(Overloaded):
        line.join(1002, now)
    assert len(line) == 6


def test_newcomers_are_refused_behind_a_head_that_waits_too_long() -> None:
    """When the children hang, the pace of the past says nothing."""
    line, now = crowded_line(waiting=2)
    with pytest.raises(Overloaded):
        line.join(1000, now + TARGET + 0.001)


def test_a_child_never_stands_idle_for_a_refusal() -> None:
    """As many as there are children may always stand in line."""
    line, now = crowded_line(spare=8)
    line.join(1000, now + 0.1)
    assert len(line) == 5


def test_an_empty_line_ends_the_crowd() -> None:
    """The next burst is served whole again, as far as it fits into the bound."""
    line, now = crowded_line()
    while (first := line.first()) is not None:
        line.serve(first, now)
    assert line.next_turning() is None
    for waiter in range(10):
        line.join(waiter, now + 0.1)
    assert len(line) == 10


def test_nobody_waits_for_ever() -> None:
    """When all children hang, whoever has waited for the bound is turned away."""
    line, now = crowded_line()
    assert len(line.turn_away(now + line.bound)) == 4
    assert len(line) == 0


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
            line.serve(first, now)
            gone.add(first)
        else:
            turned = {waiter for waiter, _ in line.turn_away(now)}
            assert not turned & gone
            gone |= turned
            assert all(now - joined[waiter] < line.bound for waiter in joined.keys() - gone)
    assert len(line) == len(joined.keys() - gone)
