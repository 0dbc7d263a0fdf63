"""The cost gate: what a render will cost, told from the header, and refused before a pixel is decoded.

Pixels alone are the wrong measure: a progressive JPEG, an interlaced PNG and an AVIF must be in memory whole, a baseline
JPEG of the same size passes through a few rows.
"""

from __future__ import annotations

import os

import pyvips
from msgspec import Struct

from countermark.core.errors import PictureTooLarge
from countermark.core.picture import Format
from countermark.imaging.geometry import Course
from countermark.imaging.operations import Recipe, Region
from countermark.imaging.output import ANIMATED, LARGEST_SIDE
from countermark.render.markers import count_scans, plain_frame, samples_per_pixel
from countermark.render.source import Bytes

_ROWS = 512
_DEPTHS = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4, "double": 8}

# Buffers and tables of the smallest render, measured.
_FIXED = 12 * 2**20

# A JPEG's pixels up to this size, as they leave the decoder and as they enter the encoder, are in memory all at once.
MOST_HELD = 2**25

# Bytes that an encoder holds for each pixel of the result, measured; the others work row by row.
_ENCODER_BYTES: dict[Format, int] = {"webp": 5, "avif": 25, "gif": 12}


_OPEN_CLASSES = (
    "VipsForeignLoadJpegSource",
    "VipsForeignLoadPngSource",
    "VipsForeignLoadNsgifSource",
    "VipsForeignLoadWebpSource",
    "VipsForeignLoadHeifSource",
    "VipsForeignLoadTiffSource",
    "VipsForeignSaveJpegBuffer",
    "VipsForeignSavePngBuffer",
    "VipsForeignSaveWebpBuffer",
    "VipsForeignSaveHeifBuffer",
    "VipsForeignSaveCgifBuffer",
)

# Each scan of a progressive JPEG is a walk over all its coefficients. Encoders write about ten.
MOST_SCANS = 100

# Higher than any honest animation's joined frames (500 frames of 16,000 rows), lower than a header can claim.
_MAX_COORD = 8_000_000


def prepare_libvips() -> None:
    """Make libvips fit for hostile input; called once in each render child, before its first picture.

    Only the named loaders and savers stay open: of those that libvips itself calls trusted, several parse formats
    that nobody here asks for. Operations are not cached, because no two renders share their input, and each child
    computes on one thread, because there is one child for each core.
    """
    os.environ["VIPS_MAX_COORD"] = str(_MAX_COORD)
    # libvips would put what is larger than this into a temporary file; a render child has no files.
    os.environ["VIPS_DISC_THRESHOLD"] = "1024g"
    pyvips.operation_block_set("VipsForeignLoad", True)
    pyvips.operation_block_set("VipsForeignSave", True)
    for name in _OPEN_CLASSES:
        pyvips.operation_block_set(name, False)
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)


class Header(Struct, frozen=True, kw_only=True):
    """What a picture's header says.

    width and height are of one stored frame, before orientation. `depth` is bytes a sample. `whole` is true where
    the decoder must hold the entire picture: progressive or multi-scan JPEG, interlaced PNG. `samples` is the number
    of samples that a JPEG stores for each pixel, `scans` that of its scans.
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
    scans: int = 1


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
        scans=count_scans(data, MOST_SCANS) if whole and format == "jpeg" else 1,
    )


def read_plain_header(data: Bytes) -> Header | None:
    """The header of a JPEG that is nothing but a picture, as those made for the web often are; None for any other.

    It is the one that `read_header` gives, without libvips, for which opening is a fifteenth of a small render.
    """
    frame = plain_frame(data)
    if frame is None:
        return None
    return Header(
        format="jpeg",
        width=frame.width,
        height=frame.height,
        frames=1,
        bands=frame.components,
        depth=1,
        alpha=False,
        whole=False,
        orientation=1,
    )


def frames_made(header: Header, recipe: Recipe, target: Format) -> int:
    """How many frames the rendition will have."""
    return header.frames if recipe.operations.animated and target in ANIMATED else 1


def load_scale(header: Header, course: Course) -> float:
    """By how much the decoder itself makes the picture smaller: 1/2, 1/4, 1/8 in JPEG, anything in a still WebP.

    A factor is left for the resize, which does it better than a decoder. In JPEG it is 1.5, where libvips' thumbnail
    leaves 2. Measured once on a busy machine: a grainy photograph of 2900 pixels comes to 800 in 0.75 of the time, and
    lies 32 dB from thumbnail's result; those of tests/data lie 38 to 43 dB from it.
    """
    width, height = course.stored_size
    kept = course.region or Region(0, 0, header.width, header.height)
    shrink = min(kept.width / width, kept.height / height)
    if header.format == "jpeg":
        return next((1 / block for block in (8, 4, 2) if shrink >= 1.5 * block), 1.0)
    if header.format == "webp" and header.frames == 1 and shrink > 2:
        return 2 / shrink
    return 1.0


def held(header: Header, scale: float) -> int:
    """Bytes of all decoded pixels together where a JPEG goes through memory; 0 where its rows stream by."""
    if header.format != "jpeg" or header.depth != 1:
        return 0
    size = int(header.width * scale + 1) * int(header.height * scale + 1) * header.bands
    return size if size <= MOST_HELD else 0


def predict(header: Header, recipe: Recipe, course: Course, target: Format) -> int:
    """Peak bytes of this render above an idle child's; measured within a quarter where they are many."""
    width, height = course.layout.result
    frames = frames_made(header, recipe, target)
    scale = load_scale(header, course)
    cost = _FIXED + _decoding(header, scale) + held(header, scale) + width * height * _ENCODER_BYTES.get(target, 0)
    if target == "jpeg" and held(header, scale):
        cost += min(width * height * 3, MOST_HELD)
    if frames > 1:
        cost += width * height * 4 * frames
    if frames > 1 and header.format == "webp":
        # Its decoder hands over all frames at once, the GIF decoder row by row.
        cost += header.width * header.height * header.bands * frames
    if course.turn.degrees or recipe.operations.gravity in ("attention", "entropy"):
        cost += course.layout.width * course.layout.height * 4
    if recipe.mark is not None:
        cost += width * height * 4
    return cost


def admit(header: Header, recipe: Recipe, course: Course, target: Format) -> None:
    """Let a picture in, or raise PictureTooLarge with the figure that was too high."""
    limits = recipe.limits
    _refuse("The original has", header.width * header.height, limits.pixels, "pixels")
    _refuse("The original's longer side has", max(header.width, header.height), limits.side, "pixels")
    _refuse("The original has", header.scans, MOST_SCANS, "scans")
    _refuse("The original has", frames_made(header, recipe, target), limits.frames, "frames")
    result_side = max(course.layout.result)
    _refuse("The result's longer side would have", result_side, limits.output_side, "pixels")
    _refuse(f"As {target} the result's longer side would have", result_side, LARGEST_SIDE[target], "pixels")
    _refuse("Rendering would take", predict(header, recipe, course, target), limits.memory, "bytes of memory")


def _refuse(sentence: str, figure: int, limit: int, unit: str) -> None:
    if figure > limit:
        raise PictureTooLarge(f"{sentence} {figure:,} {unit}; at most {limit:,} are allowed.")


def _decoding(header: Header, scale: float) -> int:
    pixels = header.width * header.height
    rows = header.width * header.bands * header.depth * min(header.height, _ROWS)
    if header.format == "jpeg" and header.whole:
        return int(pixels * header.samples * 2) + rows
    if header.format == "png" and header.whole:
        return pixels * header.bands * header.depth + rows
    if header.format == "avif":
        return pixels * (15 if header.depth == 1 else 20)
    if header.format == "webp" and header.frames == 1:
        # A lossless picture is held whole before it is scaled; what is scaled is held again.
        return int(pixels * 4 * (1 + scale * scale)) + rows
    if header.frames > 1:
        return pixels * 12 + rows
    return rows


def _flag(picture: pyvips.Image, name: str) -> bool:
    return bool(picture.get_typeof(name) and picture.get(name) == 1)
