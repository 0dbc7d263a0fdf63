"""The eight ways in which a rectangle can lie: quarter turns and a mirror."""

from __future__ import annotations

from msgspec import Struct

from countermark.imaging.operations import Operations, Region


class Turn(Struct, frozen=True):
    """First `degrees` clockwise (0, 90, 180, 270), then, if `mirror`, left and right exchanged."""

    degrees: int = 0
    mirror: bool = False

    @property
    def sideways(self) -> bool:
        """Whether width and height change places."""
        return self.degrees in (90, 270)


UPRIGHT = Turn()

# EXIF 2.32, tag 274: where row 0 and column 0 of the stored picture belong.
_EXIF = {
    1: UPRIGHT,
    2: Turn(0, True),
    3: Turn(180),
    4: Turn(180, True),
    5: Turn(90, True),
    6: Turn(90),
    7: Turn(270, True),
    8: Turn(270),
}


def exif_turn(orientation: int) -> Turn:
    """The turn that EXIF orientation 1..8 asks for; any other value is read as 1."""
    return _EXIF.get(orientation, UPRIGHT)


def asked_turn(operations: Operations) -> Turn:
    """The turn of rotate and flip: rotate first, then flip."""
    half = 180 if "v" in operations.flip else 0
    return Turn((operations.rotate + half) % 360, operations.flip in ("h", "v"))


def then(first: Turn, second: Turn) -> Turn:
    """One turn for two. Behind a mirror, clockwise is anticlockwise."""
    degrees = first.degrees - second.degrees if first.mirror else first.degrees + second.degrees
    return Turn(degrees % 360, first.mirror != second.mirror)


def turned_size(width: int, height: int, turn: Turn) -> tuple[int, int]:
    """Width and height after the turn."""
    return (height, width) if turn.sideways else (width, height)


def region_before(region: Region, width: int, height: int, turn: Turn) -> Region:
    """Where `region` of the turned picture lies in the picture before; width and height are those before the turn."""
    turned_width, turned_height = turned_size(width, height, turn)
    left = turned_width - region.left - region.width if turn.mirror else region.left
    right_gap = turned_width - left - region.width
    bottom_gap = turned_height - region.top - region.height
    if turn.degrees == 90:
        return Region(region.top, right_gap, region.height, region.width)
    if turn.degrees == 180:
        return Region(right_gap, bottom_gap, region.width, region.height)
    if turn.degrees == 270:
        return Region(bottom_gap, left, region.height, region.width)
    return Region(left, region.top, region.width, region.height)
