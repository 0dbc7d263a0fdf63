"""The guard's registers, with made-up connections and a clock that the test moves."""

from __future__ import annotations

import pytest

from countermark.settings.model import ServerSettings
from countermark.web.guard import RESERVED_DESCRIPTORS, Guard, Limits, limits


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeConnection:
    def __init__(self, guard: Guard, peer: str = "192.0.2.1") -> None:
        self.peer = peer
        self.waiting = 0
        self.fate = ""
        self._guard = guard

    def unsent(self) -> int:
        return self.waiting

    def close(self) -> None:
        self.fate = "closed"
        self._guard.gone(self)

    def cut(self) -> None:
        self.fate = "cut"
        self._guard.gone(self)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    bounds = Limits(header_timeout=5, keepalive_timeout=60, write_timeout=15, connections=3, connections_per_peer=2)
    return Guard(bounds, clock)


def admitted(guard: Guard, peer: str) -> FakeConnection:
    connection = FakeConnection(guard, peer)
    guard.admit(connection)
    return connection


def test_an_unfinished_header_is_cut_at_its_deadline(guard: Guard, clock: Clock) -> None:
    """A connection that never sends a whole request lives for header_timeout, however much it drips."""
    connection = admitted(guard, "192.0.2.1")
    clock.now = 4.9
    guard.reading(connection)
    guard.sweep()
    assert connection.fate == ""
    clock.now = 5.0
    guard.sweep()
    assert connection.fate == "cut"
    assert guard.ended["header_timeout"] == 1
    assert len(guard) == 0


def test_a_busy_connection_has_no_header_deadline(guard: Guard, clock: Clock) -> None:
    """Once the request is whole, the time of its answer is not the guard's business."""
    connection = admitted(guard, "192.0.2.1")
    guard.busy(connection)
    clock.now = 1000
    guard.sweep()
    assert connection.fate == ""


def test_an_idle_connection_is_closed_in_good_order(guard: Guard, clock: Clock) -> None:
    """Keep-alive ends with a close, not with a reset."""
    connection = admitted(guard, "192.0.2.1")
    guard.busy(connection)
    guard.idle(connection)
    clock.now = 60
    guard.sweep()
    assert connection.fate == "closed"


def test_when_full_the_oldest_unfinished_connection_goes(guard: Guard) -> None:
    """Slow clients are the oldest that are unfinished; a newcomer takes their place."""
    served = admitted(guard, "192.0.2.1")
    guard.busy(served)
    slow, slower, newcomer = (admitted(guard, f"192.0.2.{number}") for number in (2, 3, 4))
    assert (slow.fate, slower.fate, newcomer.fate, served.fate) == ("cut", "", "", "")
    assert len(guard) == 3


def test_when_all_are_being_served_the_newcomer_goes(guard: Guard) -> None:
    """Nobody who is being answered is thrown out for somebody new."""
    served = [admitted(guard, f"192.0.2.{number}") for number in (1, 2, 3)]
    for connection in served:
        guard.busy(connection)
    newcomer = admitted(guard, "192.0.2.4")
    assert newcomer.fate == "cut"
    assert [connection.fate for connection in served] == ["", "", ""]
    assert len(guard) == 3


def test_an_idle_connection_makes_room_before_a_newcomer_is_refused(guard: Guard) -> None:
    """An idle connection is worth less than a new client."""
    first, second, third = (admitted(guard, f"192.0.2.{number}") for number in (1, 2, 3))
    for connection in (first, second, third):
        guard.busy(connection)
    guard.idle(second)
    assert admitted(guard, "192.0.2.4").fate == ""
    assert (first.fate, second.fate, third.fate) == ("", "closed", "")


def test_one_peer_cannot_hold_more_than_its_share_of_unfinished_connections(guard: Guard) -> None:
    """Above the cap per peer, that peer's own oldest goes, and nobody else's."""
    other = admitted(guard, "198.51.100.1")
    first, second = admitted(guard, "192.0.2.1"), admitted(guard, "192.0.2.1")
    guard.busy(other)
    guard.idle(other)
    third = admitted(guard, "192.0.2.1")
    assert (first.fate, second.fate, third.fate) == ("cut", "", "")


def test_a_client_that_takes_nothing_is_cut_and_one_that_takes_something_is_not(guard: Guard, clock: Clock) -> None:
    """The write deadline is about progress, not about the length of the transfer."""
    stuck, slow = admitted(guard, "192.0.2.1"), admitted(guard, "192.0.2.2")
    for connection in (stuck, slow):
        guard.busy(connection)
        connection.waiting = 1000
        guard.stalled(connection)
    slow.waiting = 900
    clock.now = 15
    guard.sweep()
    assert (stuck.fate, slow.fate) == ("cut", "")
    clock.now = 30
    guard.sweep()
    assert slow.fate == "cut"


def test_auto_leaves_descriptors_for_the_rest_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three for each connection: its own, that of the origin behind it, one for those that close; and a reserve."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    assert limits(ServerSettings()).connections == (1024 - RESERVED_DESCRIPTORS) // 3
    assert limits(ServerSettings(max_connections=10)).connections == 10
