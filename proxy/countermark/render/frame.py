"""What happens to one frame between its decoder and its encoder. Functions from picture to picture, all lazy."""

from __future__ import annotations

from math import ceil

import pyvips
from msgspec import Struct, structs

from countermark.core.picture import Format
from countermark.imaging.geometry import Course, Layout
from countermark.imaging.operations import Operations, Recipe, Region
from countermark.imaging.output import ALPHA
from countermark.imaging.turn import UPRIGHT, Turn
from countermark.render.colour import conversion, opaque, rgba
from countermark.render.gate import Header
from countermark.render.pixels import GAP, Pixels

SMART = ("attention", "entropy")

# What the course tells of, what only alpha or padding needs, and what is the encoder's.
_SETTLED = frozenset(
    {"operations", "accepts", "qualities", "limits", "width", "height", "fit", "enlarge", "gravity", "focal", "dpr"}
    | {"orient", "background", "quality", "format", "metadata", "animated"}
)


def _unsettled(kind: type[Struct]) -> tuple[tuple[str, object], ...]:
    return tuple((field.name, field.default) for field in structs.fields(kind) if field.name not in _SETTLED)


_OF_RECIPE, _OF_OPERATIONS = _unsettled(Recipe), _unsettled(Operations)


def shape(picture: pyvips.Image, header: Header, course: Course, operations: Operations) -> pyvips.Image:
    """Cut, resized, turned and cropped, in 8 bit sRGB or grey."""
    resized = _resize(picture, header, course)
    return _crop(_turn(resized, course.turn), course.layout.crop, operations.gravity)


def shape_uncropped(picture: pyvips.Image, header: Header, course: Course) -> pyvips.Image:
    """The picture in which a smart crop is looked for, in memory."""
    return _turn(_resize(picture, header, course), course.turn).copy_memory()


def find_crop(picture: pyvips.Image, box: Region, gravity: str) -> Region:
    """Where a box of this size shows most, by libvips' measure of attention or entropy. Needs a picture in memory."""
    found = picture.smartcrop(box.width, box.height, interesting=gravity)
    return Region(-found.xoffset, -found.yoffset, box.width, box.height)


def finish(picture: pyvips.Image, layout: Layout, operations: Operations, target: Format) -> pyvips.Image:
    """Background, padding, blur and sharpening."""
    picture = _pad(_lay_behind(picture, operations.background, target), layout, operations.background, target)
    if operations.blur:
        picture = _blur(picture, operations.blur)
    if operations.sharpen:
        picture = picture.sharpen(sigma=operations.sharpen)
    return picture


def only_reduces(pixels: Pixels, course: Course, recipe: Recipe) -> bool:
    """Whether the recipe shrinks these pixels, cuts them at a known place, and does nothing else.

    Whatever a recipe may ask for that is not known here, now or later, is something else.
    """
    width, height = course.stored_size
    layout = course.layout
    return (
        width <= pixels.width
        and height <= pixels.height
        and course.turn == UPRIGHT
        and layout.canvas is None
        and (layout.crop is None or recipe.operations.gravity not in SMART)
        and all(getattr(recipe, name) == default for name, default in _OF_RECIPE)
        and all(getattr(recipe.operations, name) == default for name, default in _OF_OPERATIONS)
    )


def _resize(picture: pyvips.Image, header: Header, course: Course) -> pyvips.Image:
    """The picture may have been shrunk by its decoder: the region is given in the header's pixels."""
    if course.region is not None:
        across, down = picture.width / header.width, picture.height / header.height
        left, top = int(course.region.left * across), int(course.region.top * down)
        right = min(picture.width, ceil((course.region.left + course.region.width) * across))
        bottom = min(picture.height, ceil((course.region.top + course.region.height) * down))
        picture = picture.crop(left, top, right - left, bottom - top)
    width, height = course.stored_size
    converted = conversion(picture)
    if header.depth == 1 and not header.alpha and not converted:
        # What thumbnail does then, too. That it looks for something to convert takes 0.15 ms, a twelfth of a small picture.
        return _scale(picture, width, height)
    return picture.thumbnail_image(width, height=height, size="force", no_rotate=True, **converted)


def _scale(picture: pyvips.Image, width: int, height: int) -> pyvips.Image:
    across, down = picture.width / width, picture.height / height
    if across >= 1 and down >= 1:
        # What resize does then, of which nothing else remains: 0.04 ms less.
        return picture.reduce(across, down, gap=GAP)
    return picture.resize(1 / across, vscale=1 / down)


def _turn(picture: pyvips.Image, turn: Turn) -> pyvips.Image:
    if turn.degrees:
        # A stream comes from top to bottom; only a picture in memory can be read sideways or from below.
        picture = picture.copy_memory().rot(f"d{turn.degrees}")
    return picture.fliphor() if turn.mirror else picture


def _crop(picture: pyvips.Image, box: Region | None, gravity: str) -> pyvips.Image:
    if box is None:
        return picture
    if gravity in SMART:
        picture = picture.copy_memory()
        box = find_crop(picture, box, gravity)
    return picture.crop(box.left, box.top, box.width, box.height)


def _lay_behind(picture: pyvips.Image, background: str, target: Format) -> pyvips.Image:
    """What lies behind alpha, where the target has none or a background was given."""
    if not picture.hasalpha() or (target in ALPHA and not background):
        return picture
    picture = picture.colourspace("srgb")
    fill = rgba(background)
    if target not in ALPHA or fill[3] == 255:
        return picture.flatten(background=opaque(background))
    plain = pyvips.Image.black(picture.width, picture.height, bands=4).linear([1] * 4, fill)
    return plain.cast("uchar").copy(interpretation="srgb").composite2(picture, "over").cast("uchar")


def _pad(picture: pyvips.Image, layout: Layout, background: str, target: Format) -> pyvips.Image:
    canvas = layout.canvas
    if canvas is None:
        return picture
    picture = picture.colourspace("srgb")
    fill = (*opaque(background), 255)
    if target in ALPHA:
        fill = rgba(background) if background or not picture.hasalpha() else (0, 0, 0, 0)
    if fill[3] < 255 and not picture.hasalpha():
        picture = picture.bandjoin(255)
    return picture.embed(
        canvas.left, canvas.top, canvas.width, canvas.height, extend="background", background=fill[: picture.bands]
    )


def _blur(picture: pyvips.Image, sigma: float) -> pyvips.Image:
    """Premultiplied where there is alpha: else the colour of what is invisible would bleed into view."""
    if not picture.hasalpha():
        return picture.gaussblur(sigma)
    return picture.premultiply().gaussblur(sigma).unpremultiply().cast("uchar")
