"""What a setting takes, in words: for faults and for the configuration page."""

from __future__ import annotations

from typing import Any

from msgspec import inspect

from countermark.settings.units import format_duration, format_size


def unwrapped(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """A type without its `Meta`, and the extras of that (`unit`, `secret`)."""
    if isinstance(kind, inspect.Metadata):
        return kind.type, kind.extra or {}
    return kind, {}


def expectation(kind: inspect.Type) -> str:
    """What would be right for a type, as the end of the sentence "should be …"."""
    inner, extra = unwrapped(kind)
    if isinstance(inner, inspect.UnionType):
        return " or ".join(expectation(member) for member in reversed(inner.types))
    if isinstance(inner, inspect.LiteralType):
        return " or ".join(str(value) for value in inner.values)
    if isinstance(inner, inspect.BoolType):
        return "true or false"
    if isinstance(inner, inspect.StrType):
        return f"a text that matches {inner.pattern}" if inner.pattern else "a text"
    if isinstance(inner, inspect.IntType | inspect.FloatType):
        return _measure(inner, extra.get("unit", ""))
    if isinstance(inner, inspect.VarTupleType):
        return f"a list; each is {expectation(inner.item_type)}"
    if isinstance(inner, inspect.DictType):
        return f"a mapping; each value is {expectation(inner.value_type)}"
    return "a mapping"


def spelled(value: Any, unit: str) -> str:
    """A value as it would be written in a settings file."""
    if unit == "size":
        return format_size(value)
    if unit == "duration":
        return format_duration(value)
    return str(value)


def _measure(kind: inspect.IntType | inspect.FloatType, unit: str) -> str:
    whole = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    name = {"size": "a size such as 256MiB", "duration": "a duration such as 500ms or 10s"}.get(unit, whole)
    bounds = [
        f"{word} {spelled(bound, unit)}"
        for word, bound in (("at least", kind.ge), ("above", kind.gt), ("at most", kind.le), ("below", kind.lt))
        if bound is not None and not (unit and word == "at least" and bound == 0)
    ]
    return f"{name}, {' and '.join(bounds)}" if bounds else name
