"""Rotation: which key comes into which state, and when.

The keys of one dialect, algorithm and set of sites are a line. While a line lives it has one key that signs, and a
successor that all verifiers know already, so that a change, or the loss of the signing key, refuses no good URL:

    pending     published, verifies, signs nothing yet        from its making until it is needed, `publish_ahead` at least
    active      signs and verifies                            `every`
    retiring    verifies only                                 the longest life of what it signed, and `overlap`
    removed     gone from the file

Nothing happens by itself: `plan` says what is to be done at a moment, and as nothing is hurried, a late moment only makes
a key sign for longer. A second plan of the same moment is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from countermark.keys.keyring import Key
from countermark.keys.sealed import hidden

Action = Literal["publish", "activate", "retire", "remove"]

# A timer that fires each week is never to the second: what is due within this time is due now.
SLACK = 3600


class Rule(Struct, frozen=True, kw_only=True):
    """How the keys of a dialect follow one another; all in seconds.

    every           a key signs for so long
    publish_ahead   a successor is known for so long before it signs: longer than the file takes to reach every gateway,
                    and than clocks differ
    overlap         a key verifies for so long after the last of what it signed in its time has ended: longer than the file
                    takes to reach every signer, or than caches keep pages with URLs that have no end
    life            the longest life of what is signed, where a key's `max_life` does not say it
    """

    every: int
    publish_ahead: int
    overlap: int
    life: int = 0

    def tail(self, key: Key) -> int:
        """Seconds for which a key is still needed when it has ceased to sign."""
        return max(key.max_life, self.life) + self.overlap


class Step(Struct, frozen=True, kw_only=True, rename={"key_id": "key"}):
    """One change, of the key that is named; publish names the one that the new key is made after.

    not_after   retire: the last second at which the key verifies
    """

    action: Action
    key_id: str
    not_after: int | None = None


def plan(keys: Iterable[Key], rules: Mapping[str, Rule], now: int, *, due: bool = False) -> tuple[Step, ...]:
    """What is to be done now, in this order. `rules` by dialect; other dialects' keys are left alone, and so are key pairs
    of which only the public half is here, as somebody else makes them, and single-use keys.

    With `due` the signing keys are taken for due whatever their age; a successor that was not published for long enough
    still waits. A line without any key that signs or is published has ended and is left to end.
    """
    lines: dict[tuple[object, ...], list[Key]] = {}
    for key in keys:
        if key.dialect in rules and hidden(key) and not key.once:
            lines.setdefault((key.dialect, key.algorithm, frozenset(key.sites)), []).append(key)
    return tuple(step for line in lines.values() for step in _steps(line, rules[line[0].dialect], now, due=due))


def next_change(key: Key, rule: Rule) -> int | None:
    """When the key's next step is due at the earliest, in unix seconds; None where no date says it.

    pending: it may sign; active: it ceases to sign; retiring, revoked: it is removed.
    """
    if key.state == "pending":
        return None if key.not_before is None else key.not_before + rule.publish_ahead
    if key.state == "active":
        begun = key.since if key.since is not None else key.not_before
        ends = [] if begun is None else [begun + rule.every]
        # What it signs shall live its whole life although somebody has dated the key.
        ends += [] if key.not_after is None else [key.not_after - rule.tail(key)]
        return min(ends, default=None)
    if key.state == "revoked":
        return None if key.since is None else key.since + rule.tail(key)
    return key.not_after


def changed(key: Key, step: Step, now: int) -> Key:
    """The key after its step, which is activate or retire."""
    if step.action == "activate":
        return replace(key, state="active", since=now)
    return replace(key, state="retiring", since=now, not_after=step.not_after)


def successor(model: Key, *, key_id: str, material: bytes, private: bytes, salt: bytes, now: int) -> Key:
    """A new key of the same line, published from now on."""
    fresh = {"state": "pending", "since": now, "not_before": now, "not_after": None}
    return replace(model, id=key_id, material=material, private=private, salt=salt, **fresh)


def revoked(key: Key, now: int) -> Key:
    """The key, out of use for good."""
    return replace(key, state="revoked", since=now)


def _steps(line: list[Key], rule: Rule, now: int, *, due: bool) -> Iterator[Step]:
    living = [key for key in line if not _over(key, rule, now)]
    active = [key for key in living if key.state == "active"]
    published = [
        key for key in living if key.state == "pending" and key.not_before is not None and key.not_before <= now
    ]
    leaving = [key for key in active if due or _due(key, rule, now)]
    if not active and published:
        # The signing key was revoked or lost: whom the successor has not reached yet is better refused than everybody.
        heir: Key | None = published[0]
    else:
        ripe = [key for key in published if _due(key, rule, now)]
        heir = ripe[0] if ripe and leaving else None
    if heir is not None:
        yield Step(action="activate", key_id=heir.id)
        yield from (_retirement(key, rule, now) for key in leaving)
    yield from (_retirement(key, rule, now) for key in living if key.state == "retiring" and key.not_after is None)
    if (active or heir) and not any(key is not heir for key in published):
        yield Step(action="publish", key_id=(heir or active[-1]).id)
    yield from (Step(action="remove", key_id=key.id) for key in line if _over(key, rule, now))


def _due(key: Key, rule: Rule, now: int) -> bool:
    """A pending key may sign, or an active one need sign no longer. An active one of unknown age has signed for long."""
    moment = next_change(key, rule)
    slack = SLACK if key.state == "active" and rule.every > 24 * SLACK else 0
    return moment is None or moment - slack <= now


def _retirement(key: Key, rule: Rule, now: int) -> Step:
    # A date that somebody has set is never stretched.
    return Step(action="retire", key_id=key.id, not_after=key.not_after or now + rule.tail(key))


def _over(key: Key, rule: Rule, now: int) -> bool:
    """Whether the key opens nothing any more, and nothing that it signed could still ask for it."""
    if key.not_after is not None and key.state != "revoked":
        return now > key.not_after
    ended = next_change(key, rule) if key.state == "revoked" else None
    return ended is not None and now > ended
