"""Rotation: no good URL is refused, and nothing opens that is over."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.keys.keyring import Key, State
from countermark.keys.schedule import Rule, Step, changed, plan, revoked, successor

HOUR, DAY = 3600, 86_400
WEEKLY = Rule(every=7 * DAY, publish_ahead=HOUR, overlap=DAY)
RULES = {"native": WEEKLY}
NOW = 1_800_000_000


def key(key_id: str = "k0", state: State = "active", **facts: object) -> Key:
    made = Key(id=key_id, dialect="native", algorithm="hmac-sha256", material=key_id.encode() * 16, state=state)
    return replace(made, **facts)


def carried_out(keys: Iterable[Key], steps: Iterable[Step], now: int, names: Iterable[int]) -> list[Key]:
    """The keys after these steps."""
    held, number = {key.id: key for key in keys}, iter(names)
    for step in steps:
        match step.action:
            case "publish":
                key_id = f"n{next(number)}"
                held[key_id] = successor(
                    held[step.key_id], key_id=key_id, material=key_id.encode() * 8, private=b"", salt=b"", now=now
                )
            case "remove":
                del held[step.key_id]
            case _:
                held[step.key_id] = changed(held[step.key_id], step, now)
    return list(held.values())


def actions(steps: Iterable[Step]) -> list[tuple[str, str]]:
    return [(step.action, step.key_id) for step in steps]


def test_a_key_goes_through_its_states_week_by_week() -> None:
    """Each week: the published one signs, the one before verifies until what it signed has ended, then it is gone."""
    keys, names = [key()], iter(range(100))
    seen = []
    for week in range(4):
        now = NOW + week * 7 * DAY
        steps = plan(keys, RULES, now)
        seen.append(actions(steps))
        keys = carried_out(keys, steps, now, names)
    assert seen == [
        [("publish", "k0")],
        [("activate", "n0"), ("retire", "k0"), ("publish", "n0")],
        [("activate", "n1"), ("retire", "n0"), ("publish", "n1")],
        [("activate", "n2"), ("retire", "n1"), ("publish", "n2"), ("remove", "k0")],
    ]
    assert {held.id: held.state for held in keys} == {
        "n0": "retiring",
        "n1": "retiring",
        "n2": "active",
        "n3": "pending",
    }


def test_a_successor_waits_until_everybody_knows_it() -> None:
    """Even when the signing key is said to be due."""
    keys = [key(since=NOW - 9 * DAY), key("k1", "pending", not_before=NOW)]
    assert plan(keys, RULES, NOW + HOUR - 1, due=True) == ()
    assert actions(plan(keys, RULES, NOW + HOUR))[:2] == [("activate", "k1"), ("retire", "k0")]


def test_a_lost_signing_key_is_followed_at_once() -> None:
    """And a line whose last key was revoked has ended: nobody makes it anew."""
    lost = revoked(key(), NOW)
    assert actions(plan([lost, key("k1", "pending", not_before=NOW)], RULES, NOW)) == [
        ("activate", "k1"),
        ("publish", "k1"),
    ]
    assert plan([lost], RULES, NOW) == ()
    assert actions(plan([lost], RULES, NOW + 9 * DAY)) == [("remove", "k0")]


def test_lines_do_not_mix() -> None:
    """Other sites, other algorithms and dialects without a rule are rotated by themselves, or not at all."""
    keys = [key(), key("shop", sites=("shop",)), key("image", dialect="keycdn_image"), key("once", once=True)]
    keys.append(key("theirs", algorithm="ed25519"))
    assert actions(plan(keys, RULES, NOW)) == [("publish", "k0"), ("publish", "shop")]


def test_what_somebody_set_aside_is_left_alone() -> None:
    """A pending key without a date is no successor, and a revoked one of unknown age stays."""
    keys = [key(since=NOW), key("aside", "pending"), key("old", "revoked")]
    assert actions(plan(keys, RULES, NOW)) == [("publish", "k0")]


def test_a_date_that_was_set_is_not_stretched() -> None:
    """The key is followed early enough that what it signs lives its whole life."""
    dated = key(since=NOW, not_after=NOW + 10 * DAY)
    ready = key("k1", "pending", not_before=NOW)
    assert plan([dated, ready], RULES, NOW + 2 * DAY - 2 * HOUR) == ()
    steps = plan([dated, ready], RULES, NOW + 2 * DAY)
    assert Step(action="retire", key_id="k0", not_after=NOW + 10 * DAY) in steps


def test_sessions_outlive_their_sealing_key() -> None:
    """A rule may know of lives that a key does not."""
    rules = {"session": replace(WEEKLY, life=30 * DAY)}
    keys = [key(dialect="session"), key("k1", "pending", dialect="session", not_before=NOW - DAY)]
    assert Step(action="retire", key_id="k0", not_after=NOW + 31 * DAY) in plan(keys, rules, NOW)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_good_url_is_refused_however_badly_the_timer_runs(data: st.DataObject) -> None:
    """Late, twice, after gaps, forced: with a file that reaches verifiers and signers as late as the rule allows."""
    rule = Rule(
        every=data.draw(st.integers(1, 9)) * DAY, publish_ahead=HOUR, overlap=data.draw(st.integers(1, 3)) * DAY
    )
    life = data.draw(st.sampled_from((HOUR, 7 * DAY)))
    now, names = NOW, iter(range(1000))
    files = [(0, [key(max_life=life)])]
    signed: list[tuple[int, str]] = []
    for _ in range(data.draw(st.integers(1, 14))):
        now += data.draw(st.sampled_from((0, 60, HOUR, DAY, 7 * DAY, 7 * DAY - 30, 30 * DAY)))
        for moment in (now, now + data.draw(st.integers(0, 2 * DAY))):
            lagging = _file(files, moment - data.draw(st.integers(0, rule.overlap)))
            signed += [(moment + life, held.id) for held in lagging if held.signs(moment)]
            now = moment
            for lag in (0, rule.publish_ahead):
                verifying = {held.id for held in _file(files, now - lag) if held.verifies(now)}
                assert {key_id for expires, key_id in signed if expires >= now} <= verifying
        steps = plan(files[-1][1], {"native": rule}, now, due=data.draw(st.booleans()))
        keys = carried_out(files[-1][1], steps, now, names)
        assert plan(keys, {"native": rule}, now) == ()
        assert sum(held.state == "active" for held in keys) == 1
        assert not [held for held in keys if held.not_after is not None and held.not_after < now]
        files.append((now, keys))


def _file(files: list[tuple[int, list[Key]]], moment: int) -> list[Key]:
    """The newest file that was there at a moment."""
    return next(keys for written, keys in reversed(files) if written <= max(moment, 0))
