"""Sizes and places in whole pixels. No side is ever 0.

Rounding: sides are rounded to the nearest pixel, halves up, and are at least 1; in a box they never exceed it. The
slack of a centred crop or pad goes half to the left and top, the odd pixel to the right and bottom.
"""

from __future__ import annotations

from msgspec import Struct

from countermark.core.errors import PictureError
from countermark.imaging.operations import Mark, Operations, Region
from countermark.imaging.turn import Turn, asked_turn, exif_turn, region_before, then, turned_size


class Layout(Struct, frozen=True, kw_only=True):
    """How a picture becomes its rendition.

    width, height   the size that the whole picture is resized to
    crop            what is cut out of that, None for all; with a smart gravity only its size is meant, the place is
                    found in the pixels
    canvas          size of the padded result and the place of the picture in it, None without padding
    """

    width: int
    height: int
    crop: Region | None = None
    canvas: Region | None = None

    @property
    def result(self) -> tuple[int, int]:
        """Width and height of the rendition."""
        if self.canvas is not None:
            return self.canvas.width, self.canvas.height
        if self.crop is not None:
            return self.crop.width, self.crop.height
        return self.width, self.height


class Course(Struct, frozen=True, kw_only=True):
    """The way from the stored picture to the rendition: cut `region` (in stored pixels), resize, turn, then the layout.

    The layout speaks of the turned picture. Resizing comes before the turn, because it can then be done while the
    stored rows stream by; only the small picture is turned.
    """

    region: Region | None
    turn: Turn
    layout: Layout

    @property
    def stored_size(self) -> tuple[int, int]:
        """What the stored region is resized to, before the turn."""
        return turned_size(self.layout.width, self.layout.height, self.turn)


def chart(width: int, height: int, orientation: int, operations: Operations) -> Course:
    """The course for a stored picture of this size with this EXIF orientation (1..8)."""
    upright = exif_turn(orientation if operations.orient else 1)
    kept_width, kept_height = turned_size(width, height, upright)
    stored: Region | None = None
    if operations.region is not None:
        region = clip(operations.region, kept_width, kept_height)
        stored = region_before(region, width, height, upright)
        kept_width, kept_height = region.width, region.height
    asked = asked_turn(operations)
    layout = lay_out(*turned_size(kept_width, kept_height, asked), operations)
    return Course(region=stored, turn=then(upright, asked), layout=layout)


def lay_out(width: int, height: int, operations: Operations) -> Layout:
    """The layout for a picture of this size, which is already turned and cut to its region."""
    box = box_of(operations)
    if box == (None, None):
        return Layout(width=width, height=height)
    box_width = box[0] or _scaled(width, box[1] or 1, height)
    box_height = box[1] or _scaled(height, box[0] or 1, width)
    if operations.fit == "fill":
        return Layout(width=box_width, height=box_height)
    if operations.fit == "cover":
        return _cover(width, height, box_width, box_height, operations)
    if operations.fit == "scale-down" and width <= box_width and height <= box_height:
        return Layout(width=width, height=height)
    inner_width, inner_height = _contain(width, height, box_width, box_height)
    if inner_width > width and operations.fit == "pad" and not operations.enlarge:
        inner_width, inner_height = width, height
    if operations.fit != "pad" or (inner_width, inner_height) == (box_width, box_height):
        return Layout(width=inner_width, height=inner_height)
    left, top = _compass(box_width - inner_width, box_height - inner_height, operations.gravity)
    return Layout(width=inner_width, height=inner_height, canvas=Region(left, top, box_width, box_height))


def box_of(operations: Operations) -> tuple[int | None, int | None]:
    """The box in device pixels."""
    return _device(operations.width, operations.dpr), _device(operations.height, operations.dpr)


def clip(region: Region, width: int, height: int) -> Region:
    """The part of the region that lies in a picture of this size, or PictureError when there is none."""
    if region.left >= width or region.top >= height:
        raise PictureError(f"The region to crop lies outside of the picture, which has {width}x{height} pixels.")
    return Region(
        region.left,
        region.top,
        min(region.width, width - region.left),
        min(region.height, height - region.top),
    )


def mark_place(width: int, height: int, mark_width: int, mark_height: int, mark: Mark) -> Region:
    """Size and place of a mark of these proportions on a rendition of this size. A tiled mark has its first tile's size.

    The mark is as wide as `scale` says, or less so that it stays inside the margins.
    """
    margin = min(round(mark.margin * width), (width - 1) // 2, (height - 1) // 2)
    wanted = max(1, round(mark.scale * width))
    inner_width, inner_height = _contain(mark_width, mark_height, min(wanted, width - 2 * margin), height - 2 * margin)
    left, top = _compass(width - inner_width - 2 * margin, height - inner_height - 2 * margin, mark.position)
    return Region(left + margin, top + margin, inner_width, inner_height)


def _device(side: int | None, dpr: float) -> int | None:
    return None if side is None else max(1, int(side * dpr + 0.5))


def _scaled(side: int, numerator: int, denominator: int) -> int:
    return max(1, (2 * side * numerator + denominator) // (2 * denominator))


def _contain(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    if box_width * height <= box_height * width:
        return box_width, min(box_height, _scaled(height, box_width, width))
    return min(box_width, _scaled(width, box_height, height)), box_height


def _cover(width: int, height: int, box_width: int, box_height: int, operations: Operations) -> Layout:
    if box_width * height >= box_height * width:
        full_width, full_height = box_width, max(box_height, _scaled(height, box_width, width))
    else:
        full_width, full_height = max(box_width, _scaled(width, box_height, height)), box_height
    if not operations.enlarge and (full_width > width or full_height > height):
        full_width, full_height = width, height
        box_width, box_height = min(box_width, width), min(box_height, height)
    if (full_width, full_height) == (box_width, box_height):
        return Layout(width=full_width, height=full_height)
    spare_width, spare_height = full_width - box_width, full_height - box_height
    if operations.gravity == "focal" and operations.focal is not None:
        left = _centred_on(operations.focal[0], full_width, box_width)
        top = _centred_on(operations.focal[1], full_height, box_height)
    else:
        left, top = _compass(spare_width, spare_height, operations.gravity)
    return Layout(width=full_width, height=full_height, crop=Region(left, top, box_width, box_height))


def _centred_on(point: float, side: int, kept: int) -> int:
    return max(0, min(int(point * side - kept / 2 + 0.5), side - kept))


def _compass(spare_width: int, spare_height: int, gravity: str) -> tuple[int, int]:
    left = 0 if gravity.endswith("west") else spare_width if gravity.endswith("east") else spare_width // 2
    top = 0 if gravity.startswith("north") else spare_height if gravity.startswith("south") else spare_height // 2
    return left, top
