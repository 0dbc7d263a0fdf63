"""The native query syntax: the names that users of image CDNs know.

w width, h height      1..65535          fit     scale-down contain inside cover fill pad
enlarge                0 1, of cover and pad
crop                   x,y,w,h           g gravity   compass word or n ne e se s sw w nw c, attention smart entropy fp
fp                     x,y each 0..1     fp-x, fp-y  the same, one by one
dpr                    0.1..5            rot rotate  0 90 180 270       flip   h v hv        orient  0 1
bg                     colour            blur, sharpen sharp  sigma     q quality  1..100
fm format              auto jpg jpeg png webp avif gif                  meta   none copyright
anim                   0 1
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax.fields import choice, colour, decimal, flag, invalid, plain_decimal, read_fields, whole

SIDE = whole(1, 65_535)

COMPASS = {
    "center": "center", "north": "north", "northeast": "northeast", "east": "east", "southeast": "southeast",
    "south": "south", "southwest": "southwest", "west": "west", "northwest": "northwest",
    "c": "center", "n": "north", "ne": "northeast", "e": "east", "se": "southeast",
    "s": "south", "sw": "southwest", "w": "west", "nw": "northwest",
}  # fmt: skip
GRAVITIES = COMPASS | {"attention": "attention", "smart": "attention", "entropy": "entropy", "fp": "focal"}
FITS = {fit: fit for fit in ("scale-down", "contain", "cover", "fill", "pad")} | {"inside": "contain"}
FORMATS = {fm: fm for fm in ("auto", "jpeg", "png", "webp", "avif", "gif")} | {"jpg": "jpeg"}


def _region(name: str, text: str) -> Region:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in parts):
        raise invalid(name, text, "four whole numbers x,y,width,height")
    left, top, width, height = map(int, parts)
    if not width or not height:
        raise invalid(name, text, "x,y,width,height with a width and a height of at least 1")
    return Region(left, top, width, height)


def _point(name: str, text: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    across, down = plain_decimal(x), plain_decimal(y)
    if across is None or down is None or across > 1 or down > 1:
        raise invalid(name, text, "x,y with both from 0 to 1")
    return across, down


_FRACTION = decimal(0, 1)
_GRAVITY = ("gravity", choice(GRAVITIES))
_FORMAT = ("format", choice(FORMATS))
_ROTATE = ("rotate", choice({"0": 0, "90": 90, "180": 180, "270": 270}))
_SHARPEN = ("sharpen", decimal(0, 10))
_QUALITY = ("quality", whole(1, 100))

TABLE = {
    "w": ("width", SIDE), "width": ("width", SIDE),
    "h": ("height", SIDE), "height": ("height", SIDE),
    "fit": ("fit", choice(FITS)), "enlarge": ("enlarge", flag),
    "crop": ("region", _region),
    "g": _GRAVITY, "gravity": _GRAVITY,
    "fp": ("focal", _point), "fp-x": ("focal_x", _FRACTION), "fp-y": ("focal_y", _FRACTION),
    "dpr": ("dpr", decimal(0.1, 5)),
    "rot": _ROTATE, "rotate": _ROTATE,
    "flip": ("flip", choice({"h": "h", "v": "v", "hv": "hv"})),
    "orient": ("orient", flag),
    "bg": ("background", colour),
    "blur": ("blur", decimal(0, 100)),
    "sharpen": _SHARPEN, "sharp": _SHARPEN,
    "q": _QUALITY, "quality": _QUALITY,
    "fm": _FORMAT, "format": _FORMAT,
    "meta": ("metadata", choice({"none": "none", "copyright": "copyright"})),
    "anim": ("animated", flag),
}  # fmt: skip


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The pairs' operations laid over `start`, normalised; None where neither asks anything.

    Raises ParameterUnknown or ParameterInvalid.
    """
    if not pairs:
        return normalise(start) if start is not None else None
    return normalise(overlay(pairs, start or Operations()))


def overlay(pairs: tuple[Pair, ...], start: Operations) -> Operations:
    """Like `read`, not normalised: a preset's gravity must survive until a URL gives it a box to work on."""
    values: dict[str, Any] = read_fields(pairs, TABLE)
    if "focal_x" in values or "focal_y" in values:
        _join_focal(values)
    if "focal" in values:
        if values.setdefault("gravity", "focal") != "focal":
            raise ParameterInvalid("A focal point (fp) and another gravity contradict each other.")
    elif values.get("gravity") == "focal" and start.focal is None:
        raise ParameterInvalid("The gravity 'fp' needs a focal point: fp=x,y with both from 0 to 1.")
    elif "gravity" in values and values["gravity"] != "focal":
        values["focal"] = None
    return structs.replace(start, **values)


def _join_focal(values: dict[str, Any]) -> None:
    if "focal" in values:
        raise ParameterInvalid("The focal point is given twice: take fp or fp-x and fp-y.")
    values["focal"] = (values.pop("focal_x", 0.5), values.pop("focal_y", 0.5))
