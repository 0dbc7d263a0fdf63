"""From a positioned tree to typed values, following the types of `model.py`; every fault is noted, none ends the walk."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from msgspec import NODEFAULT, inspect

from countermark.core.errors import Fault
from countermark.settings.document import Entries, Items, Node, Place, Scalar
from countermark.settings.expectation import expectation, unwrapped
from countermark.settings.units import parse_duration, parse_size

_Number = TypeVar("_Number", int, float)
_TRUTH = {"true": True, "false": False}
_INTEGER = re.compile(r"[+-]?[0-9](?:_?[0-9]){0,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)


class Reading:
    """What was found so far: the faults, and where each path is written.

    A faulty value is replaced by its default, or by an empty text where it has none, so that the checks behind this
    walk can go on; what is faulty already, or stands inside of it, gets no second fault.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.places: dict[str, Place] = {}
        self._faulty: set[str] = set()

    def fault(self, path: str, message: str, place: Place | None = None) -> None:
        """Note a fault, at its own place or at the nearest one known for its path."""
        if any(above in self._faulty for above in _upwards(path)):
            return
        self._faulty.add(path)
        where = place or next((self.places[above] for above in _upwards(path) if above in self.places), Place())
        self.faults.append(Fault(path=path, message=message, file=where.file, line=where.line, column=where.column))


class _Rejected(Exception):
    """This one value cannot be read; the text says what would be right."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?", or an empty text when nothing known resembles the word."""
    close = difflib.get_close_matches(word[:40], list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _upwards(path: str) -> Iterator[str]:
    """A path and all that it stands in, the innermost first."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    yield ""


def joined(path: str, name: str) -> str:
    """The path of a key inside `path`."""
    return f"{path}.{name}" if path else name


def convert(node: Node, kind: inspect.Type, path: str, reading: Reading) -> Any:
    """The value of `node` as `kind`, None where it has a fault; a section comes back whole, with defaults in the gaps."""
    inner, extra = unwrapped(kind)
    reading.places.setdefault(path, node.place)
    if isinstance(inner, inspect.StructType):
        return _struct(node, inner, path, reading)
    if isinstance(inner, inspect.DictType):
        return _dict(node, inner, path, reading)
    if isinstance(inner, inspect.VarTupleType):
        return _tuple(node, inner, path, reading)
    if isinstance(inner, inspect.UnionType) and isinstance(node, Items):
        lists = [member for member in inner.types if isinstance(member, inspect.VarTupleType)]
        if lists:
            return _tuple(node, lists[0], path, reading)
    if not isinstance(node, Scalar):
        return reading.fault(path, f"should be {expectation(kind)}", node.place)
    try:
        return _scalar(node, inner, extra)
    except _Rejected:
        shown = "" if extra.get("secret") else f", not {_shown(node)}"
        return reading.fault(path, f"should be {expectation(kind)}{shown}{_nearest(node, inner)}", node.place)


def _nearest(node: Scalar, kind: inspect.Type) -> str:
    """The word that was meant, where there is a choice of words and a longer one is not easily looked through."""
    words = [str(value) for value in kind.values] if isinstance(kind, inspect.LiteralType) else []
    return suggestion(node.text, words) if len(words) > 3 else ""


def _shown(node: Scalar) -> str:
    if node.empty:
        return "empty"
    return repr(node.text if len(node.text) <= 40 else node.text[:40] + "…")


def _struct(node: Node, kind: inspect.StructType, path: str, reading: Reading) -> Any:
    fields = {field.encode_name: field for field in kind.fields}
    if not isinstance(node, Entries):
        reading.fault(path, f"should be a mapping with keys such as {', '.join(list(fields)[:3])}", node.place)
        node = Entries({}, {}, node.place)
    for name in node.nodes.keys() - fields.keys():
        where = node.key_places[name]
        reading.fault(joined(path, name), f"unknown key {name!r}{suggestion(name, fields)}", where)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        inside = joined(path, name)
        child = node.nodes.get(name)
        value = None
        if child is not None and not _omitted(child, field):
            reading.places[inside] = child.place
            value = convert(child, field.type, inside, reading)
        elif field.required:
            reading.fault(inside, f"is missing; it should be {expectation(field.type)}", node.place)
        if value is not None:
            values[field.name] = _with_defaults(value, field)
        elif field.required:
            values[field.name] = ""
    return kind.cls(**values)


def _omitted(node: Node, field: inspect.Field) -> bool:
    """A section whose keys are all commented out counts as not written."""
    inner, _ = unwrapped(field.type)
    collection = isinstance(inner, inspect.StructType | inspect.DictType | inspect.VarTupleType)
    return collection and isinstance(node, Scalar) and node.empty


def _with_defaults(value: Any, field: inspect.Field) -> Any:
    """Entries that a mapping does not name keep their default, as the keys of a section do."""
    if isinstance(value, dict) and field.default_factory is not NODEFAULT:
        return {**field.default_factory(), **value}
    return value


def _dict(node: Node, kind: inspect.DictType, path: str, reading: Reading) -> Any:
    if not isinstance(node, Entries):
        return reading.fault(path, "should be a mapping of names", node.place)
    values = {}
    for name, child in node.nodes.items():
        reading.places[joined(path, name)] = node.key_places[name]
        if isinstance(kind.key_type, inspect.LiteralType) and name not in kind.key_type.values:
            known = [str(value) for value in kind.key_type.values]
            message = f"should be {expectation(kind.key_type)}, not {name[:40]!r}{suggestion(name, known)}"
            reading.fault(joined(path, name), message, node.key_places[name])
            continue
        value = convert(child, kind.value_type, joined(path, name), reading)
        if value is not None:
            values[name] = value
    return values


def _tuple(node: Node, kind: inspect.VarTupleType, path: str, reading: Reading) -> Any:
    if not isinstance(node, Items):
        return reading.fault(path, "should be a list, such as [a, b]", node.place)
    if kind.min_length and len(node.nodes) < kind.min_length:
        return reading.fault(path, "should not be an empty list", node.place)
    values = [convert(child, kind.item_type, f"{path}[{index}]", reading) for index, child in enumerate(node.nodes)]
    return tuple("" if value is None else value for value in values)


def _scalar(node: Scalar, kind: inspect.Type, extra: dict[str, Any]) -> Any:
    if node.empty:
        raise _Rejected
    if isinstance(kind, inspect.UnionType):
        return _union(node, kind, extra)
    if isinstance(kind, inspect.LiteralType):
        return _literal(node.text, kind)
    if isinstance(kind, inspect.StrType):
        return _string(node.text, kind)
    if isinstance(kind, inspect.BoolType):
        return _boolean(node.text)
    if isinstance(kind, inspect.IntType):
        return _bounded(_integer(node.text, extra), kind)
    if isinstance(kind, inspect.FloatType):
        return _bounded(_number(node.text, extra), kind)
    raise TypeError(f"the settings have no way to read {kind}")


def _union(node: Scalar, kind: inspect.UnionType, extra: dict[str, Any]) -> Any:
    for member in kind.types:
        inner, more = unwrapped(member)
        if isinstance(inner, inspect.VarTupleType):
            continue
        try:
            return _scalar(node, inner, extra | more)
        except _Rejected:
            continue
    raise _Rejected


def _literal(text: str, kind: inspect.LiteralType) -> str:
    if text not in kind.values:
        raise _Rejected
    return text


def _string(text: str, kind: inspect.StrType) -> str:
    if kind.pattern and not re.search(kind.pattern, text):
        raise _Rejected
    return text


def _boolean(text: str) -> bool:
    if text not in _TRUTH:
        raise _Rejected
    return _TRUTH[text]


def _integer(text: str, extra: dict[str, Any]) -> int:
    if extra.get("unit") == "size":
        return _measured(parse_size, text)
    if not _INTEGER.fullmatch(text):
        raise _Rejected
    return int(text)


def _number(text: str, extra: dict[str, Any]) -> float:
    if extra.get("unit") == "duration":
        return _measured(parse_duration, text)
    if not _NUMBER.fullmatch(text):
        raise _Rejected
    return float(text)


def _measured(parse: Callable[[str], _Number], text: str) -> _Number:
    try:
        return parse(text)
    except ValueError:
        raise _Rejected from None


def _bounded(value: Any, kind: inspect.IntType | inspect.FloatType) -> Any:
    inside = (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )
    if not inside:
        raise _Rejected
    return value
