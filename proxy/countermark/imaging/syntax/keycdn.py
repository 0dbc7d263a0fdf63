"""KeyCDN's image processing parameters, https://www.keycdn.com/support/image-processing.

The page leaves some meanings open; taken here: `fit` is cover when both sides are given, `contain` fills up with `bg`
(pad), `enlarge` is 1, `flip` mirrors top and bottom and `flop` left and right, `sharpen` 0..100 is ten times the sigma.
A side of 0 is not given. What the engine cannot do is refused by name.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import structs

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Fit, Operations, Region, normalise
from countermark.imaging.syntax.fields import (
    choice,
    colour,
    decimal,
    flag,
    invalid,
    plain_decimal,
    read_fields,
    unsupported,
    whole,
)

_FITS: dict[str, Fit] = {"cover": "cover", "contain": "pad", "fill": "fill", "inside": "contain"}
_POSITIONS = {"top": "north", "right": "east", "bottom": "south", "left": "west"}
_UNSUPPORTED = (
    "trim", "extend", "gamma", "negate", "normalize", "threshold", "tint", "grayscale", "removealpha",
    "olurl", "olalign", "olx", "oly", "olwidth", "olheight", "olalpha", "olrepeat",
    "progressive", "compression", "adaptive", "alphaquality", "lossless", "nearlossless",
)  # fmt: skip


def _fit(name: str, text: str) -> Fit:
    if text == "outside":
        raise ParameterInvalid("The value 'outside' of 'fit' is known but not supported yet.")
    if text not in _FITS:
        raise invalid(name, text, f"one of {', '.join(_FITS)}")
    return _FITS[text]


def _format(name: str, text: str) -> str:
    if text == "tiff":
        raise ParameterInvalid("The value 'tiff' of 'format' is known but not supported yet.")
    if text not in ("jpeg", "jpg", "png", "webp"):
        raise invalid(name, text, "one of jpeg, png, webp")
    return "jpeg" if text == "jpg" else text


def _background(name: str, text: str) -> str:
    if "," not in text:
        return colour(name, text)
    parts = text.split(",")
    channels = [int(part) if part.isascii() and part.isdigit() and len(part) <= 3 else 256 for part in parts[:3]]
    alpha = plain_decimal(parts[3]) if len(parts) == 4 else 1.0
    if len(parts) not in (3, 4) or max(channels) > 255 or alpha is None or alpha > 1:
        raise invalid(name, text, "a hexadecimal colour, or r,g,b with 0..255 each and an optional alpha from 0 to 1")
    return colour(name, bytes([*channels, round(alpha * 255)]).hex())


def _rotate(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    degrees = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 3 else 360
    if degrees > 359:
        raise invalid(name, text, "a whole number from -359 to 359")
    if degrees % 90:
        raise ParameterInvalid(f"'{name}' by other than quarter turns is known but not supported yet.")
    return (-degrees if text.startswith("-") else degrees) % 360


def _crop(name: str, text: str) -> dict[str, object]:
    if text == "smart":
        return {"gravity": "attention"}
    parts = text.split(",")
    if parts[0] == "fp" and len(parts) == 3:
        x, y = plain_decimal(parts[1]), plain_decimal(parts[2])
        if x is not None and y is not None and x <= 1 and y <= 1:
            return {"gravity": "focal", "focal": (x, y)}
        raise ParameterInvalid(f"'{name}=fp' takes x and y from 0 to 1; other focal points are not supported yet.")
    if parts[0] in ("fp", "fpd") or len(parts) == 2:
        raise ParameterInvalid(f"This form of '{name}' is known but not supported yet.")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in parts):
        raise invalid(name, text, "smart, width,height,x,y or fp,x,y")
    width, height, left, top = map(int, parts)
    if not width or not height:
        raise invalid(name, text, "width,height,x,y with a width and a height of at least 1")
    return {"region": Region(left, top, width, height)}


def _metadata(name: str, text: str) -> bool:
    if text == "1":
        raise ParameterInvalid("The value '1' of 'metadata' is known but not supported yet.")
    return flag(name, text)


_SIDE = whole(0, 10_000)
_POSITION = ("gravity", choice(_POSITIONS))

TABLE = {
    "width": ("width", _SIDE), "height": ("height", _SIDE),
    "fit": ("fit", _fit), "enlarge": ("enlarge", flag),
    "position": _POSITION, "gravity": _POSITION,
    "crop": ("crop", _crop),
    "bg": ("background", _background),
    "rotate": ("rotate", _rotate), "flip": ("flip", flag), "flop": ("flop", flag),
    "sharpen": ("sharpen", whole(0, 100)), "blur": ("blur", decimal(0.3, 100)),
    "quality": ("quality", whole(0, 100)), "format": ("format", _format),
    "metadata": ("metadata", _metadata),
} | {name: (name, unsupported) for name in _UNSUPPORTED}  # fmt: skip


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The pairs' operations laid over `start`, normalised; None where neither asks anything.

    Raises ParameterUnknown, or ParameterInvalid also for what KeyCDN can do and the engine cannot.
    """
    if not pairs:
        return normalise(start) if start is not None else None
    values: dict[str, Any] = read_fields(pairs, TABLE)
    values.pop("metadata", None)
    values["width"] = values.get("width") or None
    values["height"] = values.get("height") or None
    boxed = values["width"] is not None and values["height"] is not None
    crop: dict[str, object] = values.pop("crop", {})
    if "gravity" in crop and not boxed:
        raise ParameterInvalid("'crop' as smart or fp needs width and height.")
    if "gravity" in crop and ("gravity" in values or values.get("fit", "cover") != "cover"):
        raise ParameterInvalid("'crop' as smart or fp contradicts 'position' and every 'fit' but cover.")
    values.update(crop)
    values["fit"] = _enlargeable(values.get("fit", "cover"), boxed=boxed, enlarge=values.pop("enlarge", True))
    values["flip"] = _mirrors(flip=values.pop("flip", False), flop=values.pop("flop", False))
    values["sharpen"] = values.get("sharpen", 0) / 10
    values["quality"] = max(1, values["quality"]) if "quality" in values else None
    return normalise(structs.replace(start or Operations(), **values))


def _enlargeable(fit: Fit, *, boxed: bool, enlarge: bool) -> Fit:
    if not boxed:
        return "contain" if enlarge else "scale-down"
    if enlarge:
        return fit
    if fit == "contain":
        return "scale-down"
    raise ParameterInvalid("'enlarge=0' is supported with one side or with fit=inside, not with this fit yet.")


def _mirrors(*, flip: bool, flop: bool) -> Literal["", "h", "v", "hv"]:
    if flip:
        return "hv" if flop else "v"
    return "h" if flop else ""
