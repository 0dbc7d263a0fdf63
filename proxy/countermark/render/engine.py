"""One original to one rendition: one decode, one encode."""

from __future__ import annotations

from collections.abc import Mapping

import pyvips
from msgspec import Struct, structs

from countermark.core.errors import PictureBroken, PictureUnsupported
from countermark.core.picture import Format
from countermark.imaging.geometry import Course, chart
from countermark.imaging.operations import Recipe, Region
from countermark.imaging.output import output_format
from countermark.imaging.sniff import SNIFF_BYTES, sniff
from countermark.render import jpeg
from countermark.render.colour import PROFILE, conversion
from countermark.render.credits import with_credits
from countermark.render.encode import encode, quality_of
from countermark.render.frame import SMART, find_crop, finish, only_reduces, shape, shape_uncropped
from countermark.render.gate import Header, admit, frames_made, held, load_scale, read_header, read_plain_header
from countermark.render.overlay import Overlays
from countermark.render.pixels import Pixels
from countermark.render.source import Bytes, open_picture

_TIMING = {"delay": pyvips.GValue.array_int_type, "loop": pyvips.GValue.gint_type}


class Made(Struct, frozen=True, kw_only=True):
    """A finished rendition. Height is that of one frame."""

    body: bytes
    format: Format
    width: int
    height: int


class Engine:
    """Renders with libvips; `prepare_libvips` has been called in this process. Watermarks are files' bytes by name."""

    def __init__(self, watermarks: Mapping[str, bytes]) -> None:
        self._overlays = Overlays(watermarks)

    def render(self, source: Bytes, recipe: Recipe) -> Made:
        """Raises PictureUnsupported, PictureTooLarge, PictureBroken, or PictureError for a region outside of it.

        Nothing of the source is referenced after the call, also not by an error, so that a mapping can be closed.
        """
        try:
            return self._render(source, recipe)
        except (pyvips.Error, UnicodeDecodeError) as error:
            # A decoder's message may hold bytes of the picture, and then pyvips fails to decode the message itself.
            private = str(error)
        raise PictureBroken("The original is truncated or damaged.", private=private)

    def _render(self, source: Bytes, recipe: Recipe) -> Made:
        format = sniff(bytes(source[:SNIFF_BYTES]))
        if format is None:
            raise PictureUnsupported("The original is not a JPEG, PNG, WebP, AVIF, GIF or TIFF picture.")
        plain = read_plain_header(source) if format == "jpeg" else None
        made = self._render_plain(source, plain, recipe) if plain else None
        return made or self._render_any(source, format, recipe)

    def _render_plain(self, source: Bytes, header: Header, recipe: Recipe) -> Made | None:
        """A JPEG with a plain header, without libvips' reader. None where that should read it."""
        course, target = _admitted(header, recipe)
        pixels = jpeg.decode(source, header, load_scale(header, course))
        if pixels is None:
            return None
        if made := _reduced(pixels, course, recipe, target):
            return made
        picture = self._frame(pixels.picture(), header, course, recipe, target)
        return _encoded(picture, course, recipe, target, at_hand=True)

    def _render_any(self, source: Bytes, format: Format, recipe: Recipe) -> Made:
        stream = pyvips.Source.new_from_memory(source)
        opened = open_picture(stream, format)
        header = read_header(opened, format, source)
        course, target = _admitted(header, recipe)
        scale = load_scale(header, course)
        pixels = jpeg.decode(source, header, scale) if format == "jpeg" else None
        bare = recipe.operations.metadata == "none" and not conversion(opened)
        if bare and pixels is not None and (made := _reduced(pixels, course, recipe, target)):
            return made
        if frames_made(header, recipe, target) > 1:
            picture = self._animation(stream, header, course, recipe, target)
        else:
            picture = self._frame(_load(stream, opened, pixels, header, scale), header, course, recipe, target)
        keep = "none"
        if recipe.operations.metadata == "copyright":
            picture, keep = with_credits(picture, opened)
        return _encoded(picture, course, recipe, target, keep=keep, at_hand=held(header, scale) > 0)

    def _frame(
        self, picture: pyvips.Image, header: Header, course: Course, recipe: Recipe, target: Format
    ) -> pyvips.Image:
        shaped = shape(picture, header, course, recipe.operations)
        finished = finish(shaped, course.layout, recipe.operations, target)
        return finished if recipe.mark is None else self._overlays.stamp(finished, recipe.mark)

    def _animation(
        self, stream: pyvips.Source, header: Header, course: Course, recipe: Recipe, target: Format
    ) -> pyvips.Image:
        """Every frame by itself, so that no frame's edge bleeds into its neighbour's; then stacked again."""
        if course.layout.crop is not None and recipe.operations.gravity in SMART:
            # All frames are cut where the first one is. Looking for the place reads it whole: it has its own decoder.
            first = shape_uncropped(open_picture(stream, header.format), header, course)
            place = find_crop(first, course.layout.crop, recipe.operations.gravity)
            course = structs.replace(course, layout=structs.replace(course.layout, crop=place))
            recipe = structs.replace(recipe, operations=structs.replace(recipe.operations, gravity="center"))
        roll = open_picture(stream, header.format, n=-1)
        # Each is finished in memory before the next one begins: left lazy, all would keep their buffers to the end.
        frames = [
            self._frame(roll.crop(0, top, header.width, header.height), header, course, recipe, target).copy_memory()
            for top in range(0, roll.height, header.height)
        ]
        stacked = pyvips.Image.arrayjoin(frames, across=1).copy()
        stacked.set_type(pyvips.GValue.gint_type, "page-height", course.layout.result[1])
        for name, kind in _TIMING.items():
            if roll.get_typeof(name):
                stacked.set_type(kind, name, roll.get(name))
        return stacked


def _admitted(header: Header, recipe: Recipe) -> tuple[Course, Format]:
    """What is to be made of the picture, and as what. Raises PictureTooLarge where that would cost too much."""
    course = chart(header.width, header.height, header.orientation, recipe.operations)
    side = max(course.layout.result)
    target = output_format(header.format, alpha=header.alpha, frames=header.frames, side=side, recipe=recipe)
    admit(header, recipe, course, target)
    return course, target


def _load(
    stream: pyvips.Source, opened: pyvips.Image, pixels: Pixels | None, header: Header, scale: float
) -> pyvips.Image:
    """The first frame, already made smaller by its decoder where it can; from `pixels` where there are some."""
    if pixels is not None:
        picture = pixels.picture()
        if opened.get_typeof(PROFILE):
            picture.set_type(pyvips.GValue.blob_type, PROFILE, opened.get(PROFILE))
        return picture
    if scale == 1.0:
        return opened
    if header.format == "jpeg":
        return open_picture(stream, "jpeg", shrink=round(1 / scale))
    return open_picture(stream, header.format, scale=scale)


def _reduced(pixels: Pixels, course: Course, recipe: Recipe, target: Format) -> Made | None:
    """A rendition that is nothing but a smaller JPEG of the same colours; None where there is more to it."""
    quality = quality_of(target, recipe)
    if target != "jpeg" or not jpeg.writes(quality) or not only_reduces(pixels, course, recipe):
        return None
    width, height = course.stored_size
    smaller = pixels.reduced(width, height, course.layout.crop or Region(0, 0, width, height))
    return _made(jpeg.write(smaller, quality), course, target)


def _encoded(
    picture: pyvips.Image, course: Course, recipe: Recipe, target: Format, *, keep: str = "none", at_hand: bool
) -> Made:
    body = encode(picture, target, quality=quality_of(target, recipe), keep=keep, at_hand=at_hand)
    return _made(body, course, target)


def _made(body: bytes, course: Course, target: Format) -> Made:
    width, height = course.layout.result
    return Made(body=body, format=target, width=width, height=height)
