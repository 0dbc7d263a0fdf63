"""What can be done to a picture: one value, whatever URL syntax said it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from countermark.core.picture import Format

Fit = Literal["scale-down", "contain", "cover", "fill", "pad"]
Compass = Literal[
    "center", "north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest"
]
Gravity = Literal[
    "center", "north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest",
    "attention", "entropy", "focal",
]  # fmt: skip
OutputFormat = Literal["source", "auto", "jpeg", "png", "webp", "avif", "gif"]


class Region(Struct, frozen=True):
    """A rectangle of the oriented original, in its pixels, cut out before anything is resized."""

    left: int
    top: int
    width: int
    height: int


class Operations(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All operations of one rendition. The defaults mean: nothing is asked.

    width, height   of the box in CSS pixels, before dpr; None is derived from the other side
    fit             scale-down: into the box, never enlarged; contain: into the box, enlarged if needed (`inside` is
                    read as contain); cover: fills the box, the rest is cut by gravity; fill: stretched to the box;
                    pad: contain, then filled up to the box with the background
    region          cut out of the oriented original first
    gravity, focal  what cover keeps; focal is (x, y), each 0..1 of the picture
    dpr             0.1..5, multiplies the box
    orient          apply EXIF orientation; rotate (clockwise degrees) and flip come after it, before the box
    background      "rrggbb" or "rrggbbaa"; what lies behind alpha when the target has none, and behind pad
    blur, sharpen   sigma in output pixels, 0 is off
    quality         1..100, None is the configured default of the target format
    format          source keeps the original's format; auto picks among what the client accepts
    metadata        none strips all; copyright keeps copyright, artist and credit
    animated        False takes the first frame
    """

    width: int | None = None
    height: int | None = None
    fit: Fit = "scale-down"
    region: Region | None = None
    gravity: Gravity = "center"
    focal: tuple[float, float] | None = None
    dpr: float = 1.0
    orient: bool = True
    rotate: Literal[0, 90, 180, 270] = 0
    flip: Literal["", "h", "v", "hv"] = ""
    background: str = ""
    blur: float = 0.0
    sharpen: float = 0.0
    quality: int | None = None
    format: OutputFormat = "source"
    metadata: Literal["none", "copyright"] = "none"
    animated: bool = True


class Mark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A visible watermark as the site's policy wants it. `name` is the watermark's name in the settings.

    opacity 0..1; scale is the mark's width as a share of the rendition's width; margin the same, from the edges;
    tile repeats it over the whole picture.
    """

    name: str
    opacity: float = 0.5
    position: Compass = "southeast"
    scale: float = 0.2
    margin: float = 0.02
    tile: bool = False


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on originals and results, checked from the header before a pixel is decoded.

    pixels and side (of the original, per frame), frames, memory (predicted peak bytes of one render),
    output_side (pixels of the result's longer side), seconds (wall time of one render).
    """

    pixels: int = 100_000_000
    side: int = 32_767
    frames: int = 500
    memory: int = 512 * 1024 * 1024
    output_side: int = 8_192
    seconds: float = 10.0


class Recipe(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a render child needs besides the original: what to make and within which limits.

    accepts   formats that the client named explicitly, in the server's order of preference; only for format auto
    """

    operations: Operations
    accepts: tuple[Format, ...] = ()
    mark: Mark | None = None
    qualities: dict[str, int] = {}
    limits: Limits
