"""Named operations, written in the settings as native queries."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from msgspec import Struct

from countermark.core.errors import ConfigurationInvalid, CountermarkError, Fault
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, transform_hash
from countermark.imaging.syntax import native


class Preset(Struct, frozen=True, kw_only=True):
    """Operations as written (not normalised, so that a URL may still add to them), and their present transform hash."""

    operations: Operations
    hash: str


def read_presets(texts: Mapping[str, str]) -> dict[str, Preset]:
    """Presets by name from `w=400&h=300&fit=cover`. All faults at once as ConfigurationInvalid."""
    presets: dict[str, Preset] = {}
    faults: list[Fault] = []
    for name, text in texts.items():
        try:
            operations = native.overlay(_pairs(text), Operations())
        except CountermarkError as error:
            faults.append(Fault(path=f"presets.{name}", message=error.detail))
            continue
        presets[name] = Preset(operations=operations, hash=transform_hash(operations))
    if faults:
        raise ConfigurationInvalid(faults)
    return presets


def _pairs(text: str) -> tuple[Pair, ...]:
    parts = [part for part in text.split("&") if part]
    split = [(part, *part.partition("=")) for part in parts]
    return tuple(Pair(unquote(name), unquote(value), raw) for raw, name, _, value in split)
