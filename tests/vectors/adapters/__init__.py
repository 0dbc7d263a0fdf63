"""From a vector's `config` to the realm and keys that it describes: one module a vendor, with an ADAPTERS table.

Every module of this folder is found by itself, so adding a dialect touches no file that another one touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import Struct

from countermark.keys.keyring import Key
from countermark.settings.option import Value

CENTURY = 100 * 366 * 86_400
"""Vendors' published examples live longer than any key should allow."""


class World(Struct, frozen=True, kw_only=True):
    """What a vector is checked in; `options` are the dialect's own, `country` is the client's where the vector does not
    say, `used` the single-use ids that are spent."""

    keys: tuple[Key, ...]
    options: Mapping[str, Value] = {}
    audience: str = "site"
    prefix: str = "/"
    base_url: str = ""
    sources: tuple[str, ...] = ()
    country: str = ""
    used: frozenset[str] = frozenset()


Adapter = Callable[[dict[str, Any], dict[str, Any]], World]
"""From a vector and the `keys` of its document to its world."""


def _found() -> dict[str, Adapter]:
    folder = Path(__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    tables = [import_module(f"{__name__}.{name}").ADAPTERS for name in names]
    return {dialect: adapter for table in tables for dialect, adapter in table.items()}


def adapters() -> Mapping[str, Adapter]:
    """All adapters by dialect."""
    return _found()
