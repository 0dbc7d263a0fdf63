"""thumbor's path and filters, and imagor's, https://thumbor.readthedocs.io/en/latest/usage.html and docs.imagor.net.

A pair is one part of the path (`size`: `-300x200`), or one filter, whose name ends with (). Both sides without `fit-in` are
cover; `fit-in` never enlarges but with `upscale()`, and with `fill()` it becomes pad. A URL without parts is still a
rendition. thumbor turns and mirrors after it has resized, so the place of a crop is mirrored here. The two servers mean
different things by some filters, hence two readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax.fields import (
    FieldTable,
    choice,
    colour,
    decimal,
    invalid,
    lacking,
    read_fields,
    unsupported,
    whole,
)
from countermark.imaging.syntax.turned import place_before_turn

_CROP = re.compile(r"([0-9]{1,5})x([0-9]{1,5}):([0-9]{1,5})x([0-9]{1,5})")
_SIZE = re.compile(r"(-?)([0-9]{0,5})x(-?)([0-9]{0,5})")
_COLOURS = {
    "white": "ffffff", "black": "000000", "red": "ff0000", "green": "008000", "blue": "0000ff", "yellow": "ffff00",
    "gray": "808080", "grey": "808080", "silver": "c0c0c0", "orange": "ffa500", "purple": "800080",
}  # fmt: skip
_FORMATS = {fm: fm for fm in ("jpeg", "png", "gif", "webp", "avif")} | {"jpg": "jpeg"}
_LACKING_FORMATS = ("heif", "heic", "tiff", "jxl", "jp2")
_LACKING = (
    "debug", "meta", "params", "trim", "padding",
    "brightness()", "colorize()", "contrast()", "rgb()", "round_corner()", "noise()", "watermark()", "equalize()",
    "frame()", "grayscale()", "max_bytes()", "convolution()", "extract_focal()", "focal()", "saturation()", "max_age()",
    "curve()", "proportion()", "autojpg()", "red_eye()", "cover()", "gifv()", "image()", "label()", "text()", "invert()",
    "modulate()", "hue()", "to_colorspace()", "trim()", "padding()", "crop()", "draw_detections()", "pixelate()",
    "redact()", "redact_oval()", "palette()", "bitdepth()", "compression()", "max_frames()", "lossless()", "page()",
    "dpi()", "orient()", "attachment()", "preview()", "raw()",
)  # fmt: skip


def read_thumbor(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """thumbor's parts as operations, normalised. Raises ParameterUnknown or ParameterInvalid."""
    return _read(pairs, start, _THUMBOR)


def read_imagor(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """imagor's parts as operations, normalised. Raises ParameterUnknown or ParameterInvalid."""
    return _read(pairs, start, _IMAGOR)


def _read(pairs: tuple[Pair, ...], start: Operations | None, table: FieldTable) -> Operations:
    values: dict[str, Any] = read_fields(pairs, table)
    for nothing in ("strip_exif", "strip_icc", "strip_metadata"):
        values.pop(nothing, None)
    values |= values.pop("size", {})
    _choose_fit(values)
    _choose_place(values)
    place_before_turn(values)
    return normalise(structs.replace(start or Operations(), **values))


def _choose_fit(values: dict[str, Any]) -> None:
    inside, stretched = values.pop("inside", False), values.pop("stretch", False)
    enlarge, fill = values.pop("upscale", None), values.pop("fill", None)
    if fill is not None:
        values["background"] = fill
    if "width" not in values:
        return
    both = values["width"] is not None and values["height"] is not None
    if inside and stretched:
        raise ParameterInvalid("'stretch' and 'fit-in' contradict each other.")
    if stretched:
        values["fit"] = "fill"
    elif inside and fill is not None and both:
        values |= {"fit": "pad", "enlarge": bool(enlarge)}
    elif inside or not both:
        values["fit"] = "contain" if enlarge or (not inside and enlarge is None) else "scale-down"
    else:
        values |= {"fit": "cover", "enlarge": enlarge is not False}


def _choose_place(values: dict[str, Any]) -> None:
    across, down = values.pop("halign", "center"), values.pop("valign", "middle")
    smart = values.pop("smart", False)
    if smart and values.get("fit") == "cover":
        values["gravity"] = "attention"
        return
    word = {"top": "north", "bottom": "south"}.get(down, "") + {"left": "west", "right": "east"}.get(across, "")
    # In pad the picture stands in the middle whatever the parts say of the crop.
    values["gravity"] = word or "center" if values.get("fit") == "cover" else "center"


def _crop(name: str, text: str) -> Region | None:
    found = _CROP.fullmatch(text)
    if found is None:
        raise ParameterInvalid(f"'{name}' is supported in whole pixels only.")
    left, top, right, bottom = map(int, found.groups())
    if right <= left or bottom <= top:
        raise invalid(name, text, "left x top : right x bottom, each side at least 1 pixel")
    return Region(left, top, right - left, bottom - top)


def _fit(name: str, text: str) -> bool:
    if text != "fit-in":
        raise lacking(name, text)
    return True


def _size(name: str, text: str) -> dict[str, object]:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise lacking(name, text)
    across, width, down, height = found.groups()
    fields: dict[str, object] = {"flip": ("h" if across else "") + ("v" if down else "")}
    if int(width or 0) or int(height or 0):
        fields |= {"width": int(width or 0) or None, "height": int(height or 0) or None}
    return fields


def _format(name: str, text: str) -> str:
    if text in _LACKING_FORMATS:
        raise lacking(name, text)
    return str(choice(_FORMATS)(name, text))


def _colour(name: str, text: str) -> str:
    if text in ("auto", "blur", "transparent", "none"):
        raise lacking(name, text)
    return _COLOURS.get(text) or colour(name, text)


def _rotate(name: str, text: str) -> int:
    degrees = whole(0, 359)(name, text)
    if degrees % 90:
        raise lacking(name, text)
    return degrees


def _counter_clockwise(name: str, text: str) -> int:
    return -_rotate(name, text) % 360


def _blur(name: str, text: str) -> float:
    radius, _, sigma = text.partition(",")
    return decimal(0, 100)(name, sigma or radius)


def _halved_blur(name: str, text: str) -> float:
    return _blur(name, text) / (1 if "," in text else 2)


def _nothing(name: str, text: str) -> bool:
    if text:
        raise invalid(name, text, "without arguments")
    return True


def _constant(value: object) -> Callable[[str, str], object]:
    return lambda _name, _text: value


_SHARED: FieldTable = {
    "crop": ("region", _crop), "fit": ("inside", _fit), "stretch": ("stretch", _constant(value=True)),
    "size": ("size", _size), "halign": ("halign", lambda _, text: text), "valign": ("valign", lambda _, text: text),
    "smart": ("smart", _constant(value=True)), "stretch()": ("stretch", _nothing),
    "quality()": ("quality", whole(1, 100)), "format()": ("format", _format), "fill()": ("fill", _colour),
    "background_color()": ("background", _colour),
    "upscale()": ("upscale", _nothing), "no_upscale()": ("upscale", lambda name, text: not _nothing(name, text)),
    "strip_exif()": ("strip_exif", _nothing), "strip_icc()": ("strip_icc", _nothing),
    "strip_metadata()": ("strip_metadata", _nothing),
} | {name: (name, unsupported) for name in _LACKING}  # fmt: skip
_THUMBOR: Mapping[str, Any] = {
    **_SHARED, "rotate()": ("rotate", _counter_clockwise), "blur()": ("blur", _blur), "sharpen()": ("sharpen", unsupported),
}  # fmt: skip
_IMAGOR: Mapping[str, Any] = {
    **_SHARED, "rotate()": ("rotate", _rotate), "blur()": ("blur", _halved_blur), "sharpen()": ("sharpen", decimal(0, 10)),
}  # fmt: skip
