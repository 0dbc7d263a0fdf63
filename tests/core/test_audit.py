"""How long a record may be kept: the template's time, and shorter where a law asks for less."""

from __future__ import annotations

import pytest

from countermark.core.audit import Retention
from countermark.core.place import NOWHERE, Place

KEPT = Retention.of(90, [("DE", 30), ("CH", 40), ("US-CA", 20), ("US-NY", 10), ("US", 50), ("DE", 35)])


@pytest.mark.parametrize(
    ("place", "seconds"),
    [
        (Place("NO"), 90),
        (Place("CH"), 40),
        (Place("DE"), 30),
        (Place("DE", "BE"), 30),
        (Place("US", "TX"), 50),
        (Place("US", "CA"), 20),
    ],
)
def test_the_shortest_of_the_laws_that_hold_counts(place: Place, seconds: int) -> None:
    """The template's own time where none holds; a region stands in its country's law, too."""
    assert KEPT.at(place) == seconds


def test_where_the_place_is_not_known_the_shortest_time_that_may_hold_counts() -> None:
    """Else a missing geo database would keep records against the law."""
    assert KEPT.at(Place("US")) == 10
    assert KEPT.at(NOWHERE) == 10


def test_a_law_holds_where_the_template_says_nothing() -> None:
    """And nothing is said elsewhere."""
    kept = Retention.of(0, [("DE", 30)])
    assert (kept.at(Place("DE")), kept.at(Place("NO"))) == (30, 0)
    assert Retention().at(Place("DE")) == Retention().at(NOWHERE) == 0
