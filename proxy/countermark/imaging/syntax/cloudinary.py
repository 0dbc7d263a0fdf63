"""Cloudinary's transformations, https://cloudinary.com/documentation/transformation_reference.

A pair is one step `w_300`; an empty pair parts two components. Components are joined where no step is said twice. Sides
without `c` are scale. A turn in the component of the size, or behind it, comes after resizing. Taken here where no unit is
published: `e_blur` is twenty times the sigma. `q_auto` means the site's own qualities.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax.fields import (
    choice,
    colour,
    decimal,
    lacking,
    read_fields,
    unsupported,
    whole,
)
from countermark.imaging.syntax.turned import place_before_turn

_CROPS = {
    "scale": "fill", "fit": "contain", "limit": "scale-down", "fill": "cover", "lfill": "cover", "pad": "pad",
    "lpad": "pad", "crop": "crop",
}  # fmt: skip
_PLACES = {
    "center": "center", "north": "north", "south": "south", "east": "east", "west": "west", "auto": "attention",
    "north_east": "northeast", "north_west": "northwest", "south_east": "southeast", "south_west": "southwest",
}  # fmt: skip
_FORMATS = {fm: fm for fm in ("auto", "jpeg", "png", "webp", "avif", "gif")} | {"jpg": "jpeg"}
_QUALITIES = ("auto", "auto:best", "auto:good", "auto:eco", "auto:low")
_COLOURS = {"white": "ffffff", "black": "000000", "red": "ff0000", "green": "008000", "blue": "0000ff"}
_TURNS = {
    "0": (0, ""), "90": (90, ""), "180": (180, ""), "270": (270, ""), "-90": (270, ""), "-180": (180, ""),
    "-270": (90, ""), "hflip": (0, "h"), "vflip": (0, "v"), "exif": (0, ""), "ignore": (None, ""),
}  # fmt: skip
_FLAGS = {"keep_attribution": "copyright", "force_strip": "none", "strip_profile": "none"}
_LACKING = (
    "ac", "af", "ar", "bl", "bo", "br", "co", "cs", "d", "dl", "dn", "du", "eo", "fn", "fps", "if", "ki", "l", "o", "p", "pg",
    "r", "so", "sp", "u", "vc", "vs", "z", "$",
)  # fmt: skip


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The steps as operations over `start`, normalised; None where there are none.

    Raises ParameterUnknown or ParameterInvalid.
    """
    steps = tuple(pair for pair in pairs if pair.name)
    if not steps:
        return normalise(start) if start is not None else None
    values: dict[str, Any] = read_fields(steps, TABLE)
    turn, flip = values.pop("angle", (0, ""))
    values |= {"orient": False} if turn is None else {"rotate": turn, "flip": flip}
    _choose_fit(values)
    if not _turns_first(pairs):
        place_before_turn(values)
    return normalise(structs.replace(start or Operations(), **values))


def _turns_first(pairs: tuple[Pair, ...]) -> bool:
    """Whether the turn stands in a component before that of the size."""
    component, turned, sized = 0, None, None
    for pair in pairs:
        component += not pair.name
        if pair.name == "a":
            turned = component
        elif pair.name in ("w", "h", "c"):
            sized = component if sized is None else sized
    return turned is not None and sized is not None and turned < sized


def _choose_fit(values: dict[str, Any]) -> None:
    crop = values.pop("crop", None)
    x, y = values.pop("x", None), values.pop("y", None)
    width, height = values.get("width"), values.get("height")
    if crop == "crop":
        _cut(values, x, y)
        return
    if x is not None or y is not None:
        raise ParameterInvalid("'x' and 'y' are supported with c_crop only.")
    if crop is not None and width is None and height is None:
        raise ParameterInvalid("'c' needs w or h.")
    boxed = width is not None and height is not None
    if width is not None or height is not None:
        limited = crop in ("limit", "lfill", "lpad")
        values["fit"] = _CROPS[crop or "scale"] if boxed else "scale-down" if limited else "contain"
        values["enlarge"] = not limited


def _cut(values: dict[str, Any], x: int | None, y: int | None) -> None:
    """A part of the original in its own size, from its top left corner."""
    width, height = values.pop("width", None), values.pop("height", None)
    placed = values.pop("gravity", "northwest" if x is not None and y is not None else "center")
    if not width or not height or placed != "northwest":
        raise ParameterInvalid("'c_crop' is supported with w, h, x and y from the north west only.")
    values["region"] = Region(x or 0, y or 0, width, height)


def _side(name: str, text: str) -> int:
    if not text.isdigit():
        raise ParameterInvalid(f"'{name}' as anything but whole pixels is known but not supported yet.")
    return whole(1, 65_535)(name, text)


def _crop(name: str, text: str) -> str:
    if text not in _CROPS:
        raise lacking(name, text)
    return text


def _gravity(name: str, text: str) -> str:
    if text not in _PLACES:
        raise lacking(name, text)
    return _PLACES[text]


def _quality(name: str, text: str) -> int | None:
    return None if text in _QUALITIES else whole(1, 100)(name, text)


def _angle(name: str, text: str) -> object:
    if text not in _TURNS:
        raise lacking(name, text)
    return _TURNS[text]


def _effect(name: str, text: str) -> float:
    effect, _, strength = text.partition(":")
    if effect != "blur":
        raise lacking(name, effect)
    return whole(1, 2000)(name, strength or "100") / 20


def _colour(name: str, text: str) -> str:
    if text.startswith("rgb:"):
        return colour(name, text[4:])
    if text not in _COLOURS:
        raise lacking(name, text)
    return _COLOURS[text]


def _dpr(name: str, text: str) -> float:
    if text == "auto":
        raise lacking(name, text)
    return decimal(0.1, 5)(name, text)


def _flag(name: str, text: str) -> str:
    if text not in _FLAGS:
        raise lacking(name, text)
    return _FLAGS[text]


TABLE = {
    "w": ("width", _side), "h": ("height", _side), "c": ("crop", _crop), "g": ("gravity", _gravity),
    "x": ("x", whole(0, 65_535)), "y": ("y", whole(0, 65_535)), "q": ("quality", _quality),
    "f": ("format", choice(_FORMATS)), "a": ("angle", _angle), "e": ("blur", _effect), "b": ("background", _colour),
    "dpr": ("dpr", _dpr), "fl": ("metadata", _flag),
} | {name: (name, unsupported) for name in _LACKING}  # fmt: skip
