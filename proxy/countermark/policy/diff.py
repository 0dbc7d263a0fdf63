"""Compares what two templates decide, not what is written in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from countermark.policy.model import Situation
from countermark.policy.probes import Axis, Probe, axes, situation
from countermark.policy.template import Template
from countermark.policy.trial import Outcome, attempt
from countermark.settings.units import format_duration

_SHOWN = 6


class Change(Struct, frozen=True, kw_only=True):
    """What is answered otherwise along one axis, for one reason.

    what      the places on the axis, in words
    request   one whole request that shows it, `outcome` its answer on the refusing side
    """

    axis: str
    what: tuple[str, ...]
    request: Situation
    outcome: Outcome


class Difference(Struct, frozen=True, kw_only=True):
    """What a change of one template does: `widened` is newly let in, `narrowed` newly refused, `notes` is the rest."""

    template: str
    old: str = ""
    new: str = ""
    widened: tuple[Change, ...] = ()
    narrowed: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def compare(old: Template, new: Template) -> Difference:
    """What of all requests is answered otherwise."""
    widened = tuple(_gained(old, new))
    narrowed = tuple(_gained(new, old))
    return Difference(
        template=new.name,
        old=old.label,
        new=new.label,
        widened=widened,
        narrowed=narrowed,
        notes=tuple(_notes(old, new, changed=bool(widened or narrowed))),
    )


def compare_sets(old: Mapping[str, Template], new: Mapping[str, Template]) -> list[Difference]:
    """The differences of two folders by name; what is the same in both is left out."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            note = "new; it lets in nothing until a site or a session names it"
            found.append(Difference(template=name, new=new[name].label, notes=(note,)))
        elif name not in new:
            note = "removed; settings that still name it are refused"
            found.append(Difference(template=name, old=old[name].label, notes=(note,)))
        else:
            difference = compare(old[name], new[name])
            if difference.widened or difference.narrowed or difference.notes:
                found.append(difference)
    return found


def markdown(differences: list[Difference]) -> str:
    """The differences for a pull request."""
    if not any(difference.widened or difference.narrowed or difference.notes for difference in differences):
        return "No policy decides otherwise.\n"
    count = sum(1 for difference in differences if difference.widened)
    lines = ["## Policies", "", f"**{count} widened**" if count else "Nothing is widened.", ""]
    for difference in differences:
        lines += _section(difference)
    return "\n".join(lines).rstrip() + "\n"


def _gained(old: Template, new: Template) -> Iterator[Change]:
    """What `new` lets in and `old` does not."""
    lines = axes(old, new)
    base: dict[str, Probe] = {}
    gains: dict[str, list[Probe]] = {}
    for axis in lines:
        before, after = _taken(axis, old), _taken(axis, new)
        if not after:
            return  # it lets in nothing at all
        base[axis.name] = next((probe for probe in after if probe in before), after[0])
        gains[axis.name] = [probe for probe in after if probe not in before]
    for axis in lines:
        yield from _changes(axis, base, gains[axis.name], old, new)


def _taken(axis: Axis, template: Template) -> list[Probe]:
    alone = axis.alone(template)
    return [probe for probe in axis.probes if not attempt(alone, situation([probe.says])).reason]


def _changes(
    axis: Axis, base: Mapping[str, Probe], gains: list[Probe], old: Template, new: Template
) -> Iterator[Change]:
    groups: dict[str, list[tuple[Probe, Situation, Outcome]]] = {}
    for probe in gains:
        request = situation(part.says for part in {**base, axis.name: probe}.values())
        outcome = attempt(old, request)
        if outcome.reason and not attempt(new, request).reason:
            groups.setdefault(outcome.detail, []).append((probe, request, outcome))
    for group in groups.values():
        what = tuple(dict.fromkeys(probe.label for probe, _, _ in group))
        yield Change(axis=axis.name, what=what, request=group[0][1], outcome=group[0][2])


def _notes(old: Template, new: Template, *, changed: bool) -> Iterator[str]:
    if changed and new.file.version <= old.file.version:
        yield f"decides otherwise and is still version {new.file.version}; count it up"
    for key in ("endpoint", "owner", "risks", "respond", "audit", "regions", "accept"):
        before, after = getattr(old.file, key), getattr(new.file, key)
        if before != after:
            yield f"{key}: {_written(before)} → {_written(after)}"
    if old.file.retention != new.file.retention:
        yield f"retention: {format_duration(old.file.retention)} → {format_duration(new.file.retention)}"


def _written(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def _section(difference: Difference) -> Iterator[str]:
    labels = " → ".join(filter(None, (difference.old, difference.new)))
    yield f"### `{difference.template}` ({labels})"
    yield ""
    yield from _table("Newly **allowed**", "refused before", difference.widened)
    yield from _table("Newly **refused**", "refused now", difference.narrowed)
    for note in difference.notes:
        yield f"- {note}"
    yield ""


def _table(title: str, answer: str, changes: tuple[Change, ...]) -> Iterator[str]:
    if not changes:
        return
    yield f"| {title} | what | {answer}, because |"
    yield "|---|---|---|"
    for change in changes:
        yield f"| {change.axis} | {_listed(change.what)} | `{change.outcome.reason}`: {change.outcome.detail} |"
    yield ""


def _listed(what: tuple[str, ...]) -> str:
    more = f" … and {len(what) - _SHOWN} more" if len(what) > _SHOWN else ""
    return "; ".join(what[:_SHOWN]) + more
