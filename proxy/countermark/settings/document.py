"""A YAML 1.2 text as a tree that knows where everything stands.

Scalars stay text: what `10` or `no` means is decided by the setting that it is written for, so that no country turns
into a truth value. Aliases, tags and second documents are refused: a settings file needs none of them, and aliases
are how a small file becomes a large one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from countermark.core.errors import ConfigurationInvalid, Fault

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 16


class Place(Struct, frozen=True):
    """Where something is written; line and column count from 1, 0 where there is none."""

    file: str = ""
    line: int = 0
    column: int = 0


class Scalar(Struct, frozen=True):
    """A text; `plain` when it stands without quotes, as only then it can mean null."""

    text: str
    place: Place
    plain: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing was written."""
        return self.plain and self.text in ("", "~", "null")


class Items(Struct, frozen=True):
    """A YAML sequence."""

    nodes: list[Node]
    place: Place


class Entries(Struct, frozen=True):
    """A YAML mapping; `key_places` has the same keys as `nodes`."""

    nodes: dict[str, Node]
    key_places: dict[str, Place]
    place: Place


Node = Scalar | Items | Entries
_NodeEvent = MappingStartEvent | SequenceStartEvent | ScalarEvent | AliasEvent


def decode(data: bytes, *, file: str = "", limit: int = MAX_BYTES) -> str:
    """The text of a file. Raises ConfigurationInvalid when it has more than `limit` bytes or is not UTF-8."""
    if len(data) > limit:
        raise _invalid(f"larger than {limit // 1024} KiB, which no such file needs", Place(file))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _invalid("not UTF-8; save the file with that encoding", Place(file, line, 1)) from None


def parse(text: str, *, file: str = "") -> Node:
    """The tree of one YAML document; an empty one is an empty mapping.

    Raises ConfigurationInvalid for text that is no YAML, for more than MAX_BYTES bytes, MAX_NODES nodes or MAX_DEPTH
    levels, for duplicate keys, and for aliases, tags, directives and further
    documents.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise _invalid(f"larger than {MAX_BYTES // 1024} KiB, which no such file needs", Place(file))
    directive = re.search(r"^%", text, re.MULTILINE)
    if directive:
        raise _invalid("a YAML directive; leave it out", Place(file, text.count("\n", 0, directive.start()) + 1, 1))
    try:
        return _Composer(text, file).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise _invalid(_explained(error, text, place), place) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise _invalid("a control character, which YAML does not allow", Place(file, line, column)) from None
    except (YAMLError, ValueError, AssertionError):  # ruamel lets some of Python's own errors through
        raise _invalid("not YAML", Place(file)) from None


def _invalid(message: str, place: Place) -> ConfigurationInvalid:
    fault = Fault(path="", message=message, file=place.file, line=place.line, column=place.column)
    return ConfigurationInvalid([fault])


def _explained(error: MarkedYAMLError, text: str, place: Place) -> str:
    lines = text.splitlines()
    here = lines[place.line - 1][place.column - 1 :] if 0 < place.line <= len(lines) else ""
    if here.startswith("\t"):
        return "a tab; YAML indents with spaces only"
    return f"not YAML: {error.problem or error.context or 'unreadable'}"


class _Composer:
    """Builds the tree from ruamel's events, which come lazily, so that every bound holds before memory is spent."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self._file = file
        self._count = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, _NodeEvent):
                if root is not None:
                    raise _invalid("a second document; one file holds one", self._place(event))
                root = self._node(event, depth=1)
            elif isinstance(event, DocumentEndEvent) and root is None:
                break
        if root is None or (isinstance(root, Scalar) and root.empty):
            return Entries({}, {}, Place(self._file))
        return root

    def _node(self, event: Event, depth: int) -> Node:
        self._guard(event, depth)
        if isinstance(event, ScalarEvent):
            return Scalar(event.value, self._place(event), plain=event.style is None)
        if isinstance(event, SequenceStartEvent):
            return self._items(event, depth)
        return self._entries(event, depth)

    def _guard(self, event: Event, depth: int) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise _invalid(f"more than {MAX_NODES} values", self._place(event))
        if depth > MAX_DEPTH:
            raise _invalid(f"nested deeper than {MAX_DEPTH} levels", self._place(event))
        if isinstance(event, AliasEvent):
            raise _invalid(f"an alias (*{event.anchor}); write the value out", self._place(event))
        if isinstance(event, MappingStartEvent | SequenceStartEvent | ScalarEvent) and event.tag is not None:
            raise _invalid("a tag; values take their type from the setting", self._place(event))

    def _items(self, start: Event, depth: int) -> Items:
        nodes: list[Node] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            nodes.append(self._node(event, depth + 1))
        return Items(nodes, self._place(start))

    def _entries(self, start: Event, depth: int) -> Entries:
        entries = Entries({}, {}, self._place(start))
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise _invalid("a key that is not a text", key.place)
            if key.text in entries.nodes:
                first = entries.key_places[key.text].line
                raise _invalid(f"{key.text!r} is written twice; the first stands in line {first}", key.place)
            entries.key_places[key.text] = key.place
            entries.nodes[key.text] = self._node(next(self._events), depth + 1)
        return entries

    def _place(self, event: Event) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
