"""imgix's rendering parameters, https://docs.imgix.com/apis/rendering.

Taken here where the pages leave it open: `blur` 0..2000 is twenty times the sigma, `sharp` 0..100 ten times; `auto=compress`
means the site's own qualities. `rot` turns within the frame, so only half a turn is the same as here; `orient` turns the frame.
`ixlib` and `ixid` are the client's name and mean nothing.
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
    invalid,
    lacking,
    read_fields,
    unsupported,
    whole,
)

_FITS = ("clip", "crop", "fill", "fillmax", "max", "scale")
_LACKING_FITS = ("clamp", "facearea", "min")
_FORMATS = {"jpg": "jpeg", "png": "png", "webp": "webp", "avif": "avif", "gif": "gif"}
_LACKING_FORMATS = ("pjpg", "png8", "png32", "jxr", "jp2", "json", "mp4", "webm", "blurhash", "jxl", "heif")
_PLACES = {"top": "north", "bottom": "south", "left": "west", "right": "east"}
_TURNS = {"0": 0, "1": 0, "3": 180, "6": 90, "8": 270, "90": 90, "180": 180, "270": 270}
_LACKING = (
    "ar", "max-w", "max-h", "min-w", "min-h", "trim", "trim-color", "trim-tol", "pad", "pad-left", "pad-right", "pad-top",
    "pad-bottom", "border", "border-radius", "border-radius-inner", "mask", "corner-radius", "fp-z", "fp-debug",
    "facepad", "faceindex", "faces", "bri", "con", "exp", "gam", "high", "hue", "invert", "sat", "shad", "sharpen", "usm",
    "usmrad", "vib", "sepia", "monochrome", "mono", "duotone", "duotone-alpha", "htn", "px", "nr", "nrs", "lossless",
    "chromasub", "colorquant", "cs", "iptc", "dl", "ch", "colors", "palette", "prefix", "page", "frame", "fps",
    "interval", "loop", "reverse", "skip-default-optimizations", "gif-q", "upscale", "transparency", "fill-gen-prompt",
    "bg-remove", "blend", "blend-mode", "mark", "markalign", "markw", "txt", "txt64", "mark64", "blend64",
)  # fmt: skip


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The parameters as operations over `start`, normalised. None where nothing but the client's name stands there.

    Raises ParameterUnknown or ParameterInvalid.
    """
    values: dict[str, Any] = read_fields(pairs, TABLE)
    for nothing in ("ixlib", "ixid"):
        values.pop(nothing, None)
    if not values:
        return normalise(start) if start is not None else None
    _choose_fit(values, start or Operations())
    auto = values.pop("auto", ())
    if "format" in auto and values.setdefault("format", "auto") != "auto":
        raise ParameterInvalid("'fm' as the fallback of 'auto=format' is known but not supported yet.")
    turn: int = values.pop("rot", 0)
    values["rotate"] = (values.get("rotate", 0) + turn) % 360
    if "orientation" in values:
        values |= {"orient": False, "rotate": (values.pop("orientation") + turn) % 360}
    return normalise(structs.replace(start or Operations(), **values))


def _choose_fit(values: dict[str, Any], start: Operations) -> None:
    fit = values.pop("fit", "clip")
    crop, x, y = values.pop("crop", None), values.pop("fp-x", None), values.pop("fp-y", None)
    values.pop("fill", None)
    boxed = bool(values.get("width", start.width)) and bool(values.get("height", start.height))
    if crop is not None and (fit != "crop" or not boxed):
        raise ParameterInvalid("'crop' needs fit=crop, w and h.")
    if crop == "focal":
        values["focal"] = (0.5 if x is None else x, 0.5 if y is None else y)
    elif x is not None or y is not None:
        raise ParameterInvalid("'fp-x' and 'fp-y' need crop=focalpoint.")
    if fit in ("fill", "fillmax", "scale") and not boxed:
        raise ParameterInvalid(f"'fit={fit}' is supported with w and h only.")
    if "width" in values or "height" in values:
        chosen = {"clip": "contain", "max": "scale-down", "scale": "fill", "crop": "cover"}.get(fit, "pad")
        values |= {"fit": chosen, "enlarge": fit != "fillmax", "gravity": crop or "center"}


def _side(name: str, text: str) -> int:
    if "." in text:
        raise ParameterInvalid(f"'{name}' as a share of the original is known but not supported yet.")
    return whole(1, 8192)(name, text)


def _fit(name: str, text: str) -> str:
    if text in _LACKING_FITS:
        raise lacking(name, text)
    return str(choice({fit: fit for fit in _FITS})(name, text))


def _crop(name: str, text: str) -> str:
    words = text.split(",")
    if words in (["entropy"], ["focalpoint"]):
        return {"entropy": "entropy", "focalpoint": "focal"}[text]
    if len(set(words)) != len(words) or not set(words) <= _PLACES.keys():
        raise lacking(name, text)
    compass = sorted((_PLACES[word] for word in words), key=("north", "south", "west", "east").index)
    if set(compass) & {"north", "south"} == {"north", "south"} or {"west", "east"} <= set(compass):
        raise invalid(name, text, "not two opposite sides")
    return "".join(compass)


def _rect(name: str, text: str) -> Region:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in parts):
        raise ParameterInvalid(f"'{name}' is supported as x,y,width,height in whole pixels only.")
    left, top, width, height = map(int, parts)
    if not width or not height:
        raise invalid(name, text, "x,y,width,height with a width and a height of at least 1")
    return Region(left, top, width, height)


def _format(name: str, text: str) -> str:
    if text in _LACKING_FORMATS:
        raise lacking(name, text)
    return str(choice(_FORMATS)(name, text))


def _auto(name: str, text: str) -> frozenset[str]:
    words = frozenset(text.split(","))
    if words - {"format", "compress"}:
        raise lacking(name, ",".join(sorted(words - {"format", "compress"})))
    return words


def _colour(name: str, text: str) -> str:
    """imgix writes alpha first, and short forms too."""
    digits = "".join(digit * 2 for digit in text) if len(text) in (3, 4) else text
    return colour(name, digits[2:] + digits[:2] if len(digits) == 8 else digits)


def _fill(name: str, text: str) -> str:
    if text != "solid":
        raise lacking(name, text)
    return text


def _rot(name: str, text: str) -> int:
    if text not in ("0", "180"):
        raise ParameterInvalid(f"'{name}' by other than half a turn is known but not supported yet; see 'orient'.")
    return int(text)


def _orient(name: str, text: str) -> int:
    if text not in _TURNS:
        raise lacking(name, text)
    return _TURNS[text]


def _anything(name: str, text: str) -> str:  # noqa: ARG001  every reader of a field takes both
    return text


_BACKGROUND = ("background", _colour)
_ORIENT = ("orientation", _orient)

TABLE = {
    "w": ("width", _side), "h": ("height", _side), "fit": ("fit", _fit), "crop": ("crop", _crop),
    "fp-x": ("fp-x", decimal(0, 1)), "fp-y": ("fp-y", decimal(0, 1)), "rect": ("region", _rect),
    "dpr": ("dpr", decimal(0.1, 5)), "fm": ("format", _format), "q": ("quality", whole(1, 100)), "auto": ("auto", _auto),
    "rot": ("rot", _rot), "orient": _ORIENT, "or": _ORIENT, "flip": ("flip", choice({"h": "h", "v": "v", "hv": "hv"})),
    "bg": _BACKGROUND, "fill-color": _BACKGROUND, "fill": ("fill", _fill),
    "blur": ("blur", lambda name, text: whole(0, 2000)(name, text) / 20),
    "sharp": ("sharpen", lambda name, text: whole(0, 100)(name, text) / 10),
    "ixlib": ("ixlib", _anything), "ixid": ("ixid", _anything),
} | {name: (name, unsupported) for name in _LACKING}  # fmt: skip
