"""willnorris/imageproxy's options, https://github.com/willnorris/imageproxy#options.

Two sides without `fit` are cover; nothing is enlarged but with `scaleUp`. `r` turns against the clock and, like the flips,
after resizing. A URL without options is still a rendition.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax.fields import FieldTable, choice, invalid, lacking, read_fields, unsupported, whole
from countermark.imaging.syntax.turned import place_before_turn


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The options as operations over `start`, normalised. Raises ParameterUnknown or ParameterInvalid."""
    values: dict[str, Any] = read_fields(pairs, TABLE)
    width, height = values.pop("size", (None, None))
    inside, enlarge, smart = (values.pop(name, False) for name in ("inside", "enlarge", "smart"))
    values["flip"] = values.pop("across", "") + values.pop("down", "")
    _cut(values)
    if width or height:
        cover = width and height and not inside
        values |= {"width": width, "height": height, "enlarge": enlarge, "gravity": "attention" if smart else "center"}
        values["fit"] = "cover" if cover else "contain" if enlarge else "scale-down"
    place_before_turn(values)
    return normalise(structs.replace(start or Operations(), **values))


def _cut(values: dict[str, Any]) -> None:
    sides = [values.pop(name, None) for name in ("cx", "cy", "cw", "ch")]
    if sides == [None] * 4:
        return
    left, top, width, height = sides
    if not width or not height:
        raise ParameterInvalid("'cx' and 'cy' are supported beside cw and ch only.")
    values["region"] = Region(left or 0, top or 0, width, height)


def _pixels(name: str, text: str) -> int:
    if "." in text or text.startswith("-"):
        raise ParameterInvalid(f"'{name}' as a share or from the far edge is known but not supported yet.")
    return whole(0, 65_535)(name, text)


def _size(name: str, text: str) -> tuple[int | None, int | None]:
    width, _, height = text.partition("x")
    return _pixels(name, width) or None, _pixels(name, height) or None


def _rotate(name: str, text: str) -> int:
    if text not in ("0", "90", "180", "270"):
        raise invalid(name, text, "0, 90, 180 or 270")
    return -int(text) % 360


def _format(name: str, text: str) -> object:
    if text == "tiff":
        raise lacking(name, text)
    return choice({"jpeg": "jpeg", "png": "png"})(name, text)


def _yes(name: str, text: str) -> bool:  # noqa: ARG001  every reader of a field takes both
    return True


def _across(name: str, text: str) -> str:  # noqa: ARG001
    return "h"


def _down(name: str, text: str) -> str:  # noqa: ARG001
    return "v"


TABLE: FieldTable = {
    "size": ("size", _size), "fit": ("inside", _yes), "scaleUp": ("enlarge", _yes),
    "sc": ("smart", _yes), "fh": ("across", _across), "fv": ("down", _down),
    "r": ("rotate", _rotate), "q": ("quality", whole(1, 100)), "format": ("format", _format), "trim": ("trim", unsupported),
} | {name: (name, _pixels) for name in ("cx", "cy", "cw", "ch")}  # fmt: skip
