"""ImageKit's transformations, https://imagekit.io/docs/image-resize-and-crop and /docs/effects-and-enhancements.

A pair is one step `w-300`; chained steps are refused by the dialect. Both sides without a strategy are cover. `bl` is
taken as the sigma. Turning comes after resizing there. `orig-true` alone is the original; a version (`v`, `version`,
`updatedAt`) means nothing.
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

_CROPS = {"maintain_ratio": "cover", "force": "fill", "at_max": "scale-down", "at_max_enlarge": "contain"}
_MODES = ("pad_resize", "extract")
_PLACES = {
    "center": "center", "top": "north", "left": "west", "bottom": "south", "right": "east", "top_left": "northwest",
    "top_right": "northeast", "bottom_left": "southwest", "bottom_right": "southeast", "auto": "attention",
}  # fmt: skip
_FORMATS = {fm: fm for fm in ("auto", "jpeg", "png", "webp", "avif", "gif")} | {"jpg": "jpeg"}
_SWITCH = {"true": True, "false": False}
_NOTHING = ("v", "version", "updatedAt")
_LACKING = (
    "ar", "xc", "yc", "b", "r", "di", "lo", "pr", "cp", "md", "dn", "o", "t", "z", "pg", "du", "so", "eo", "sr", "vc", "ac",
    "l", "cr", "raw", "fs", "ff", "co", "ia", "pa", "al", "tg", "lh", "ik-attachment",
    "e-grayscale", "e-upscale", "e-retouch", "e-genvar", "e-dropshadow", "e-changebg", "e-bgremove", "e-removedotbg",
    "e-edit", "e-contrast", "e-shadow", "e-sharpen", "e-usm", "e-gradient", "e-colorize", "e-distort",
)  # fmt: skip


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The steps as operations over `start`, normalised; None where they ask nothing, or for the original.

    Raises ParameterUnknown or ParameterInvalid.
    """
    values: dict[str, Any] = read_fields(pairs, TABLE)
    for nothing in _NOTHING:
        values.pop(nothing, None)
    original = values.pop("orig", False)
    if original and (values or start is not None):
        raise ParameterInvalid("'orig-true' hands out the original: nothing else can stand beside it.")
    if not values:
        return normalise(start) if start is not None else None
    if values.get("mode") == "extract":
        _extract(values)
    elif "x" in values or "y" in values:
        raise ParameterInvalid("'x' and 'y' are supported with cm-extract only.")
    else:
        _choose_fit(values, start or Operations())
    place_before_turn(values)
    return normalise(structs.replace(start or Operations(), **values))


def _extract(values: dict[str, Any]) -> None:
    """A part of the original in its own size."""
    sides = [values.pop(name, None) for name in ("x", "y", "width", "height")]
    if values.pop("crop", None) or values.pop("gravity", None) or None in sides:
        raise ParameterInvalid("'cm-extract' is supported with w, h, x and y only.")
    del values["mode"]
    values["region"] = Region(*sides)


def _choose_fit(values: dict[str, Any], start: Operations) -> None:
    crop, mode = values.pop("crop", None), values.pop("mode", None)
    if crop and mode:
        raise ParameterInvalid("'c' and 'cm' beside each other are known but not supported yet.")
    boxed = values.get("width", start.width) and values.get("height", start.height)
    if (crop or mode) and not boxed:
        raise ParameterInvalid("'c' and 'cm' need w and h.")
    if "width" in values or "height" in values or crop or mode:
        values["fit"] = "pad" if mode else crop or ("cover" if boxed else "contain")


def _side(name: str, text: str) -> int:
    if text == "auto" or "." in text or "_" in text:
        raise ParameterInvalid(f"'{name}' as a share, a hint or an expression is known but not supported yet.")
    return whole(1, 65_535)(name, text)


def _crop(name: str, text: str) -> object:
    if text == "at_least":
        raise lacking(name, text)
    return choice(_CROPS)(name, text)


def _mode(name: str, text: str) -> object:
    if text == "pad_extract":
        raise lacking(name, text)
    return choice({mode: mode for mode in _MODES})(name, text)


def _focus(name: str, text: str) -> object:
    if text not in _PLACES:
        raise lacking(name, text)
    return _PLACES[text]


def _colour(name: str, text: str) -> str:
    """The last two digits of eight are the opacity in per cent."""
    if len(text) != 8:
        return colour(name, text)
    return colour(name, f"{text[:6]}{(whole(0, 99)(name, text[6:]) * 255 + 50) // 100:02x}")


def _anything(name: str, text: str) -> str:  # noqa: ARG001  every reader of a field takes both
    return text


TABLE = {
    "w": ("width", _side), "h": ("height", _side), "c": ("crop", _crop), "cm": ("mode", _mode),
    "fo": ("gravity", _focus), "x": ("x", whole(0, 65_535)), "y": ("y", whole(0, 65_535)),
    "q": ("quality", whole(1, 100)), "f": ("format", choice(_FORMATS)), "bg": ("background", _colour),
    "bl": ("blur", whole(1, 100)), "dpr": ("dpr", decimal(0.1, 5)),
    "rt": ("rotate", choice({"0": 0, "90": 90, "180": 180, "270": 270, "360": 0})),
    "fl": ("flip", choice({"h": "h", "v": "v", "h_v": "hv"})), "orig": ("orig", choice(_SWITCH)),
} | {name: (name, _anything) for name in _NOTHING} | {name: (name, unsupported) for name in _LACKING}  # fmt: skip
