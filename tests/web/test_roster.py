"""Who has how many connections."""

from __future__ import annotations

import os

import pytest

from countermark.web.roster import Berth, Roster


@pytest.fixture
def roster() -> Roster:
    return Roster.create(3)


def test_who_serves_nobody_beside_him_is_never_ahead(roster: Roster) -> None:
    """Siblings that start, have drained or are dead get nothing left."""
    one, other = Berth(roster, 0), Berth(roster, 1)
    one.tell(9)
    assert not one.ahead(9)
    other.tell(2)
    assert one.ahead(9)
    other.leave()
    other.tell(1)
    assert not one.ahead(9)


@pytest.mark.parametrize(
    ("mine", "theirs", "ahead"),
    [
        (0, 0, False),
        (1, 0, True),
        (1, 1, False),
        (0, 5, False),
        (8, 7, True),
        (9, 8, False),
        (10, 8, True),
        (113, 100, True),
    ],
)
def test_the_next_connection_is_for_whoever_has_fewest(roster: Roster, mine: int, theirs: int, ahead: bool) -> None:
    """Where they are many, an eighth more is as good."""
    Berth(roster, 1).tell(theirs)
    Berth(roster, 2).tell(theirs + 50)
    assert Berth(roster, 0).ahead(mine) is ahead


def test_another_process_sees_the_same_page(roster: Roster) -> None:
    """By the descriptor that it inherits; and the page goes with its last object."""
    copy = Roster(os.dup(roster.descriptor))
    Berth(copy, 1).tell(3)
    assert roster.fewest(0) == 3
    descriptor = copy.descriptor
    del copy
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert roster.fewest(0) == 3
