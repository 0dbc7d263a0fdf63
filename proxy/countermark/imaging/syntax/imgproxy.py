"""imgproxy's processing options, https://docs.imgproxy.net/usage/processing.

A pair is one path segment: `rs:fill:300:400` has the name `rs` and the value `fill:300:400`. The extension behind the
source is the pair `ext`. As there, nothing is enlarged unless `el` says so, copyright notes survive, and a URL without
options is still a rendition; `raw:1` alone is the original. An option said twice is refused, where imgproxy takes the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Fit, Operations, Region, normalise
from countermark.imaging.syntax.fields import colour, decimal, invalid, lacking, plain_decimal, put, unknown, whole

_COMPASS = {
    "ce": "center", "no": "north", "so": "south", "ea": "east", "we": "west",
    "noea": "northeast", "nowe": "northwest", "soea": "southeast", "sowe": "southwest",
}  # fmt: skip
_TYPES = ("fit", "fill", "force")
_LACKING_TYPES = ("fill-down", "auto")
_FORMATS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp", "avif": "avif", "gif": "gif"}
_LACKING_FORMATS = ("best", "tiff", "jxl", "bmp", "heic", "ico", "svg", "pdf", "mp4")
_YES = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_NO = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_LACKING = frozenset({
    "min-width", "mw", "min-height", "mh", "zoom", "z", "extend_aspect_ratio", "extend_ar", "exar", "trim", "t",
    "padding", "pd", "pixelate", "pix", "watermark", "wm", "preserve_hdr", "ph", "enforce_thumbnail", "eth",
    "format_quality", "fq", "max_bytes", "mb", "skip_processing", "skp", "filename", "fn", "return_attachment", "att",
    "max_src_resolution", "msr", "max_src_file_size", "msfs", "max_animation_frames", "maf",
    "max_animation_frame_resolution", "mafr", "max_result_dimension", "mrd", "resizing_algorithm", "ra",
    "objects_position", "obj_pos", "op", "crop_aspect_ratio", "crop_ar", "car", "crop_objects", "co",
    "background_alpha", "bga", "adjust", "a", "brightness", "br", "contrast", "saturation", "sa", "monochrome", "mc",
    "duotone", "dt", "unsharp_masking", "ush", "blur_areas", "ba", "progressive_blur", "pbl", "blur_detections", "bd",
    "draw_detections", "dd", "colorize", "col", "gradient", "gr", "watermark_url", "wmu", "watermark_text", "wmt",
    "watermark_size", "wms", "watermark_rotate", "wm_rot", "wmr", "watermark_shadow", "wmsh", "style", "st", "dpi",
    "color_profile", "cp", "icc", "autoquality", "aq", "jpeg_options", "jpgo", "png_options", "pngo", "webp_options",
    "webpo", "avif_options", "avifo", "page", "pg", "pages", "pgs", "video_thumbnail_second", "vts",
    "video_thumbnail_keyframes", "vtk", "video_thumbnail_tile", "vtt", "video_thumbnail_animation", "vta",
    "fallback_image_url", "fiu", "bypass_cache", "bc", "cache_tags", "ct", "hashsum", "hs",
})  # fmt: skip

_SIDE = whole(0, 65_535)
_SIGMA = decimal(0, 100)

Fields = dict[str, object]
OptionReader = Callable[[str, list[str]], Fields]


def read(pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None:
    """The options laid over a preset, normalised; None for `raw`. Raises ParameterUnknown or ParameterInvalid."""
    values: dict[str, Any] = {}
    for pair in pairs:
        put(values, pair.name, _read_option(pair))
    if values.pop("raw", False):
        if values or start is not None:
            raise ParameterInvalid("'raw' hands out the original: no other option can stand beside it.")
        return None
    start = start or Operations(metadata="copyright")
    _choose_fit(values, start)
    return normalise(structs.replace(start, **values))


def _read_option(pair: Pair) -> Fields:
    if pair.name in _LACKING:
        raise lacking(pair.name)
    reader = _READERS.get(pair.name)
    if reader is None:
        raise unknown(pair.name, _READERS)
    return reader(pair.name, pair.value.split(":"))


def _choose_fit(values: dict[str, Any], start: Operations) -> None:
    """Replaces type, enlarge and extend by the house's fit."""
    said = not values.keys().isdisjoint(("type", "width", "height", "enlarge"))
    kind, extend = values.pop("type", "fit"), values.pop("extend", False)
    placed = values.pop("extend_gravity", None)
    enlarge: bool = values.pop("enlarge", False)
    width, height = values.get("width", start.width), values.get("height", start.height)
    if extend and (kind != "fit" or width is None or height is None):
        raise ParameterInvalid("'extend' is supported with type fit and both sides only.")
    if kind == "force" and (width is None or height is None):
        raise ParameterInvalid("The type 'force' is supported with both sides only.")
    if extend:
        values |= {"fit": "pad", "enlarge": enlarge, "gravity": placed or "center", "focal": None}
    elif kind == "fill" and width is not None and height is not None:
        values |= {"fit": "cover", "enlarge": enlarge}
    elif said:
        fit: Fit = "fill" if kind == "force" else "contain" if enlarge else "scale-down"
        values["fit"] = fit


def _resize(name: str, arguments: list[str]) -> Fields:
    fields = _type(name, arguments[:1]) if arguments[0] else {}
    return fields | (_size(name, arguments[1:]) if arguments[1:] else {})


def _size(name: str, arguments: list[str]) -> Fields:
    width, height, enlarge, *extend = [*arguments, *[""] * (3 - len(arguments))]
    fields: Fields = {}
    if width:
        fields |= _width(name, [width])
    if height:
        fields |= _height(name, [height])
    if enlarge:
        fields |= _enlarge(name, [enlarge])
    return fields | (_extend(name, extend) if extend and extend[0] else {})


def _type(name: str, arguments: list[str]) -> Fields:
    kind = _one(name, arguments)
    if kind in _LACKING_TYPES:
        raise lacking(name, kind)
    if kind not in _TYPES:
        raise invalid(name, kind, f"one of {', '.join(_TYPES)}")
    return {"type": kind}


def _width(name: str, arguments: list[str]) -> Fields:
    return {"width": _SIDE(name, _one(name, arguments)) or None}


def _height(name: str, arguments: list[str]) -> Fields:
    return {"height": _SIDE(name, _one(name, arguments)) or None}


def _enlarge(name: str, arguments: list[str]) -> Fields:
    return {"enlarge": _flag(name, arguments)}


def _extend(name: str, arguments: list[str]) -> Fields:
    fields: Fields = {"extend": _flag(name, arguments[:1])}
    if arguments[1:]:
        fields["extend_gravity"] = _compass(name, arguments[1:])
    return fields


def _gravity(name: str, arguments: list[str]) -> Fields:
    word = arguments[0]
    if word == "sm" and len(arguments) == 1:
        return {"gravity": "attention", "focal": None}
    if word == "fp" and len(arguments) == 3:
        point = [plain_decimal(text) for text in arguments[1:]]
        if any(place is None or place > 1 for place in point):
            raise invalid(name, ":".join(arguments), "fp:x:y with both from 0 to 1")
        return {"gravity": "focal", "focal": tuple(point)}
    if word in ("obj", "objw"):
        raise lacking(name, word)
    return {"gravity": _compass(name, arguments), "focal": None}


def _compass(name: str, arguments: list[str]) -> str:
    word, *offsets = arguments
    if word not in _COMPASS or len(offsets) > 2:
        raise invalid(name, ":".join(arguments), f"one of {', '.join(_COMPASS)}")
    if any(plain_decimal(offset or "0") != 0 for offset in offsets):
        raise ParameterInvalid(f"Offsets of '{name}' are known but not supported yet.")
    return _COMPASS[word]


def _crop(name: str, arguments: list[str]) -> Fields:
    """Only from the top left corner: every other gravity needs the original's size, which a region does not know."""
    if len(arguments) not in (3, 5) or arguments[2] != "nowe":
        raise ParameterInvalid(f"'{name}' is supported as width:height:nowe:left:top only.")
    width, height, left, top = [_SIDE(name, text or "0") for text in (*arguments[:2], *(arguments[3:] or ["0", "0"]))]
    if not width or not height:
        raise ParameterInvalid(f"'{name}' is supported with both sides in pixels only.")
    return {"region": Region(left, top, width, height)}


def _rotate(name: str, arguments: list[str]) -> Fields:
    degrees = whole(0, 3600)(name, _one(name, arguments))
    if degrees % 90:
        raise invalid(name, str(degrees), "a multiple of 90")
    return {"rotate": degrees % 360}


def _flip(name: str, arguments: list[str]) -> Fields:
    across, down = [*arguments, "0"][:2]
    if len(arguments) > 2:
        raise invalid(name, ":".join(arguments), "one or two booleans")
    return {"flip": "h" * _flag(name, [across]) + "v" * _flag(name, [down])}


def _background(name: str, arguments: list[str]) -> Fields:
    if len(arguments) != 3:
        text = _one(name, arguments)
        return {"background": colour(name, text) if text else ""}
    channels = [whole(0, 255)(name, text) for text in arguments]
    return {"background": bytes(channels).hex()}


def _format(name: str, arguments: list[str]) -> Fields:
    word = _one(name, arguments)
    if word in _LACKING_FORMATS:
        raise lacking(name, word)
    if word not in _FORMATS:
        raise invalid(name, word, f"one of {', '.join(_FORMATS)}")
    return {"format": _FORMATS[word]}


def _auto_rotate(name: str, arguments: list[str]) -> Fields:
    return {"orient": _flag(name, arguments)}


def _quality(name: str, arguments: list[str]) -> Fields:
    return {"quality": whole(0, 100)(name, _one(name, arguments)) or None}


def _keep_copyright(name: str, arguments: list[str]) -> Fields:
    return {"metadata": "copyright" if _flag(name, arguments) else "none"}


def _disable_animation(name: str, arguments: list[str]) -> Fields:
    return {"animated": not _flag(name, arguments)}


def _raw(name: str, arguments: list[str]) -> Fields:
    return {"raw": _flag(name, arguments)}


def _only(*, takes: bool) -> OptionReader:
    """A switch of which the engine has one position."""

    def read_switch(name: str, arguments: list[str]) -> Fields:
        if _flag(name, arguments) is not takes:
            raise lacking(name, ":".join(arguments))
        return {}

    return read_switch


def _number(field: str, reader: Callable[[str, str], object]) -> OptionReader:
    return lambda name, arguments: {field: reader(name, _one(name, arguments))}


def _one(name: str, arguments: list[str]) -> str:
    if len(arguments) != 1:
        raise invalid(name, ":".join(arguments), "one argument")
    return arguments[0]


def _flag(name: str, arguments: list[str]) -> bool:
    text = _one(name, arguments)
    if text not in _YES | _NO:
        raise invalid(name, text, "1 or 0")
    return text in _YES


_READERS: Mapping[str, OptionReader] = {
    "resize": _resize, "rs": _resize, "size": _size, "s": _size,
    "resizing_type": _type, "rt": _type,
    "width": _width, "w": _width, "height": _height, "h": _height,
    "enlarge": _enlarge, "el": _enlarge, "extend": _extend, "ex": _extend,
    "gravity": _gravity, "g": _gravity, "crop": _crop, "c": _crop,
    "dpr": _number("dpr", decimal(0.1, 5)),
    "auto_rotate": _auto_rotate, "ar": _auto_rotate,
    "rotate": _rotate, "rot": _rotate, "flip": _flip, "fl": _flip,
    "background": _background, "bg": _background,
    "blur": _number("blur", _SIGMA), "bl": _number("blur", _SIGMA),
    "sharpen": _number("sharpen", decimal(0, 10)), "sh": _number("sharpen", decimal(0, 10)),
    "quality": _quality, "q": _quality,
    "format": _format, "f": _format, "ext": _format,
    "strip_metadata": _only(takes=True), "sm": _only(takes=True),
    "strip_color_profile": _only(takes=True),
    "scp": _only(takes=True),
    "keep_copyright": _keep_copyright, "kcr": _keep_copyright,
    "disable_animation": _disable_animation, "da": _disable_animation,
    "raw": _raw,
}  # fmt: skip
