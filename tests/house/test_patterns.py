"""Regular expressions keep to what every Python that we promise does right."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # the only way to see a pattern's parts
from typing import Any

import countermark

SINGLE = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """All compiled patterns that modules hold, by name."""
    for found in pkgutil.walk_packages(countermark.__path__, "countermark."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            yield from (
                (f"{found.name}.{name}", value) for name, value in vars(module).items() if isinstance(value, re.Pattern)
            )


def operations(part: Any) -> Iterator[tuple[Any, Any]]:
    """Every operation in a parsed pattern, at any depth."""
    if isinstance(part, _parser.SubPattern):
        for operation, argument in part:
            yield operation, argument
            yield from operations(argument)
    elif isinstance(part, tuple | list):
        for piece in part:
            yield from operations(piece)


def test_no_group_is_possessive() -> None:
    """CPython before 3.11.5 goes on behind a possessive group that failed (gh-106052): "/a/.." was a clean path there.

    What is repeated possessively is one character or class; that has its own code, and it is right.
    """
    seen = 0
    for name, pattern in patterns():
        seen += 1
        for operation, argument in operations(_parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)):
            assert operation is not _constants.ATOMIC_GROUP, name
            if operation is _constants.POSSESSIVE_REPEAT:
                repeated = list(argument[2])
                assert len(repeated) == 1, name
                assert repeated[0][0] in SINGLE, name
    assert seen > 20
