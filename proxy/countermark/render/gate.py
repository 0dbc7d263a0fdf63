"""The cost gate: what a render will cost, told from the header, and refused before a pixel is decoded.

Pixels alone are the wrong measure: a progressive JPEG, an interlaced PNG and an AVIF must be in memory whole, a baseline
JPEG of the same size passes through a few rows.
"""

from __future__ import annotations

import pyvips
from msgspec import Struct

from countermark.core.errors import PictureTooLarge
from countermark.core.picture import Format
from countermark.imaging.geometry import Course
from countermark.imaging.operations import Recipe
from countermark.imaging.output import ANIMATED, LARGEST_SIDE
from countermark.render.scans import samples_per_pixel
from countermark.render.source import Bytes

_ROWS = 512
_DEPTHS = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4, "double": 8}

# Bytes that an encoder holds for each pixel of the result, measured; the others work row by row.
_ENCODER_BYTES: dict[Format, int] = {"webp": 12, "avif": 40, "gif": 12}


class Header(Struct, frozen=True, kw_only=True):
    """What a picture's header says.

    width and height are of one stored frame, before orientation. `depth` is bytes a sample. `whole` is true where
    the decoder must hold the entire picture: progressive or multi-scan JPEG, interlaced PNG. `samples` is the number
    of samples that a JPEG stores for each pixel.
    """

    format: Format
    width: int
    height: int
    frames: int
    bands: int
    depth: int
    alpha: bool
    whole: bool
    orientation: int
    samples: float = 0.0


def read_header(picture: pyvips.Image, format: Format, data: Bytes) -> Header:
    """The header of a picture that was opened with one page."""
    whole = _flag(picture, "interlaced") or _flag(picture, "jpeg-multiscan")
    return Header(
        format=format,
        width=picture.width,
        height=picture.height,
        frames=picture.get("n-pages") if format in ANIMATED and picture.get_typeof("n-pages") else 1,
        bands=picture.bands,
        depth=_DEPTHS.get(picture.format, 8),
        alpha=picture.hasalpha() != 0,
        whole=whole,
        orientation=picture.get("orientation") if picture.get_typeof("orientation") else 1,
        samples=samples_per_pixel(data) if whole and format == "jpeg" else 0.0,
    )


def frames_made(header: Header, recipe: Recipe, target: Format) -> int:
    """How many frames the rendition will have."""
    return header.frames if recipe.operations.animated and target in ANIMATED else 1


def predict(header: Header, recipe: Recipe, course: Course, target: Format) -> int:
    """Peak bytes of this render above an idle child's, within a quarter of the truth where that is large."""
    width, height = course.layout.result
    frames = frames_made(header, recipe, target)
    # Turning, smart cropping and padding look at the result more than once and hold it, four bytes a pixel.
    held = width * height * 4 * frames
    mark = width * height * 8 if recipe.mark is not None else 0
    return _decoding(header) + held + mark + width * height * _ENCODER_BYTES.get(target, 0)


def admit(header: Header, recipe: Recipe, course: Course, target: Format) -> None:
    """Let a picture in, or raise PictureTooLarge with the figure that was too high."""
    limits = recipe.limits
    _refuse("The original has", header.width * header.height, limits.pixels, "pixels")
    _refuse("The original's longer side has", max(header.width, header.height), limits.side, "pixels")
    _refuse("The original has", frames_made(header, recipe, target), limits.frames, "frames")
    result_side = max(course.layout.result)
    _refuse("The result's longer side would have", result_side, limits.output_side, "pixels")
    _refuse(f"As {target} the result's longer side would have", result_side, LARGEST_SIDE[target], "pixels")
    _refuse("Rendering would take", predict(header, recipe, course, target), limits.memory, "bytes of memory")


def _refuse(sentence: str, figure: int, limit: int, unit: str) -> None:
    if figure > limit:
        raise PictureTooLarge(f"{sentence} {figure:,} {unit}; at most {limit:,} are allowed.")


def _decoding(header: Header) -> int:
    pixels = header.width * header.height
    rows = header.width * header.bands * header.depth * min(header.height, _ROWS)
    if header.format == "jpeg" and header.whole:
        return int(pixels * header.samples * 2) + rows
    if header.format == "png" and header.whole:
        return pixels * header.bands * header.depth + rows
    if header.format == "avif":
        return pixels * 15 * header.depth
    if header.format in ("webp", "gif"):
        return pixels * 4 * (3 if header.frames > 1 else 1) + rows
    return rows


def _flag(picture: pyvips.Image, name: str) -> bool:
    return bool(picture.get_typeof(name) and picture.get(name) == 1)
