"""The benchmark's arithmetic: a wrong ratio would be believed."""

from __future__ import annotations

import math

import pytest
from benchmarks.figures import Figure, Goal, longest_gap, percentile, ratios
from benchmarks.result import Result, as_json, as_markdown
from benchmarks.rounds import alternate
from hypothesis import given
from hypothesis import strategies as st

numbers = st.lists(st.floats(min_value=0.001, max_value=1000), min_size=1, max_size=30)


def test_percentiles_interpolate_between_neighbours() -> None:
    """Known answers, computed by hand."""
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile([10.0, 20.0], 0.1) == pytest.approx(11.0)
    assert percentile([7.0], 0.99) == 7.0


def test_percentile_of_nothing_is_an_error() -> None:
    """No samples is not zero."""
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


@given(numbers, st.floats(min_value=0, max_value=1))
def test_percentiles_stay_within_the_samples(samples: list[float], share: float) -> None:
    """Whatever the share, the value lies between the smallest and the largest sample."""
    slack = 1e-9 * max(samples)
    assert min(samples) - slack <= percentile(samples, share) <= max(samples) + slack


def test_ratios_pair_the_rounds_and_leave_out_empty_ones() -> None:
    """A round without a measurement on either side counts for neither."""
    assert ratios([2.0, 9.0, math.nan, 6.0], [1.0, 0.0, 1.0, 4.0]) == (2.0, 1.5)


def test_ratios_refuse_rounds_that_do_not_pair() -> None:
    """A lost round must not shift all later ones."""
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_the_longest_gap_includes_both_ends() -> None:
    """An outage that has not ended by the end of the watch still counts."""
    assert longest_gap([0.1, 0.2, 0.3], 0.0, 1.0) == pytest.approx(0.7)
    assert longest_gap([], 2.0, 5.0) == 3.0
    assert longest_gap([-4.0, 0.5, 9.0], 0.0, 1.0) == 0.5


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal("at most", 1.1), 1.1, True),
        (Goal("at most", 1.1), 1.2, False),
        (Goal("at least", 0.3), 0.29, False),
        (Goal("exactly", 1), 1.0, True),
        (Goal("exactly", 0), 1.0, False),
        (Goal("at most", 5), math.nan, False),
    ],
)
def test_goals_include_their_bound_and_never_hold_for_nothing(goal: Goal, value: float, reached: bool) -> None:
    """Reaching the bound is enough; a figure that could not be measured has reached nothing."""
    assert goal.reached_by(value) is reached


def test_a_promise_without_exception_is_judged_by_its_worst_round() -> None:
    """One bad round among many is a broken promise, though the median hides it."""
    samples = (1.0, 1.0, 1.0, 2.0)
    assert Figure(label="renders", unit="", samples=samples, goal=Goal("exactly", 1)).reached is True
    assert Figure(label="renders", unit="", samples=samples, goal=Goal("exactly", 1), worst=True).reached is False


def test_a_figure_without_rounds_is_missed() -> None:
    """Not measured is not reached."""
    assert Figure(label="p99", unit="s", samples=(), goal=Goal("at most", 1)).reached is False


def test_rounds_alternate_and_turn_round() -> None:
    """A, B, B, A: a machine that grows slower favours neither side."""
    order: list[str] = []
    taken = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "b", "a"]
    assert {side: len(results) for side, results in taken.items()} == {"a": 2, "b": 2}


def test_a_result_tells_the_same_in_json_and_markdown() -> None:
    """The verdicts and the peers that were absent stand in both."""
    figures = (
        Figure(label="hit", unit="x", samples=(0.2, 0.4, 0.3), goal=Goal("at least", 0.25)),
        Figure(label="gap", unit="s", samples=(), goal=Goal("at most", 1)),
    )
    result = Result(name="hit", title="cached hit", figures=figures, absent=("nginx",))
    told = as_json(result)["figures"]
    assert isinstance(told, list)
    assert [(figure["value"], figure["reached"]) for figure in told] == [(0.3, True), (None, False)]
    assert "| hit | 0.3 x |" in as_markdown(result)
    assert "**missed**" in as_markdown(result)
    assert "- absent: nginx" in as_markdown(result)
