"""An option of a signature dialect, declared as data: what `sites[].dialects` may hold is checked against it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Written = str | tuple[str, ...]
Value = str | bool | int | tuple[str, ...]

_INTEGER = re.compile(r"[0-9]{1,12}", re.ASCII)
_EXPECTED = {
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "list": "a list such as [a, b]",
}


class Option(Struct, frozen=True, kw_only=True):
    """One option: its name, kind, default and a sentence for the docs.

    `choices` bounds a str, or each item of a list; `bounds` are the least and the greatest int. An option that weakens
    the dialect has a name that says so: it starts with `unsafe_`. `check` raises ValueError with what would be right, for
    a str that more must be said of. Without a `required` one the dialect opens nothing; `waives` says why a site that
    accepts the dialect must set a bool to true. `words` say what would be right where the kind says too little.
    """

    name: str
    kind: Literal["str", "bool", "int", "list"]
    default: Value
    sentence: str
    choices: tuple[str, ...] = ()
    check: Callable[[str], object] | None = None
    bounds: tuple[int, int] | None = None
    required: bool = False
    waives: str = ""
    words: str = ""

    @property
    def unsafe(self) -> bool:
        """Whether it gives protection away."""
        return self.name.startswith("unsafe_")

    @property
    def expected(self) -> str:
        """What would be right, in words."""
        if self.words:
            return self.words
        if self.bounds is not None:
            return f"{_EXPECTED[self.kind]} from {self.bounds[0]} to {self.bounds[1]}"
        return f"{_EXPECTED[self.kind]}, of {', '.join(self.choices)}" if self.choices else _EXPECTED[self.kind]

    def read(self, written: Written) -> Value:
        """The value of what the settings file holds, or ValueError."""
        if self.kind == "list":
            items = written if isinstance(written, tuple) else ()
            if not items or (self.choices and not set(items) <= set(self.choices)):
                raise ValueError(self.expected)
            return items
        if isinstance(written, tuple):
            raise ValueError(self.expected)
        if self.kind == "bool" and written in ("true", "false"):
            return written == "true"
        if self.kind == "int" and _INTEGER.fullmatch(written) and self._within(int(written)):
            return int(written)
        if self.kind == "str" and (not self.choices or written in self.choices):
            if self.check is not None:
                self.check(written)
            return written
        raise ValueError(self.expected)

    def _within(self, number: int) -> bool:
        return self.bounds is None or self.bounds[0] <= number <= self.bounds[1]


class DialectUse(Struct, frozen=True, kw_only=True):
    """What a site that accepts a dialect may set for it, and whether it must have a `base_url`, which the dialect signs."""

    options: tuple[Option, ...] = ()
    signs_base_url: bool = False
