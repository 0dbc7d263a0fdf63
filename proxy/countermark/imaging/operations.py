"""What can be done to a picture: one value, whatever URL syntax said it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Literal

from msgspec import Struct, structs

from countermark.core.picture import Format

Fit = Literal["scale-down", "contain", "cover", "fill", "pad"]
Compass = Literal["center", "north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest"]
Gravity = Literal[
    "center", "north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest",
    "attention", "entropy", "focal",
]  # fmt: skip
OutputFormat = Literal["source", "auto", "jpeg", "png", "webp", "avif", "gif"]

_SMART = ("attention", "entropy")
_LOSSLESS: tuple[OutputFormat, ...] = ("png", "gif")
_STILL: tuple[OutputFormat, ...] = ("jpeg", "png", "avif")


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
    enlarge         False: cover and pad never make a smaller original larger; cover then gives less than the box
    region          cut out of the EXIF-oriented original first
    gravity, focal  what cover keeps, and where pad puts the picture (compass only); focal is (x, y), each 0..1 of
                    the picture that goes into the box
    dpr             0.1..5, multiplies the box
    orient          apply EXIF orientation; rotate (clockwise degrees) and flip come after it, before the box
    background      "rrggbb" or "rrggbbaa"; "" is white for targets without alpha and behind pad (transparent there when
                    picture and target have alpha). A given background is laid behind alpha whatever the target
    blur, sharpen   sigma in output pixels, 0 is off
    quality         1..100, None is the configured default of the target format
    format          source keeps the original's format; auto picks among what the client accepts
    metadata        none strips all; copyright keeps copyright, artist and credit
    animated        False takes the first frame
    """

    width: int | None = None
    height: int | None = None
    fit: Fit = "scale-down"
    enlarge: bool = True
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


def normalise(operations: Operations) -> Operations:
    """The same rendition said in the one canonical way, so that equal requests share one cached result."""
    changes: dict[str, object] = {}
    _normalise_box(operations, changes)
    _normalise_turn(operations, changes)
    if operations.quality is not None and operations.format in _LOSSLESS:
        changes["quality"] = None
    if not operations.animated and operations.format in _STILL:
        changes["animated"] = True
    return structs.replace(operations, **changes) if changes else operations


def _normalise_box(operations: Operations, changes: dict[str, object]) -> None:
    boxless = operations.width is None and operations.height is None
    one_sided = operations.width is None or operations.height is None
    fit: Fit = operations.fit
    if boxless:
        fit = "scale-down"
    elif one_sided and fit != "scale-down":
        fit = "contain"
    if fit != operations.fit:
        changes["fit"] = fit
    if boxless and operations.dpr != 1.0:
        changes["dpr"] = 1.0
    if not operations.enlarge and fit not in ("cover", "pad"):
        changes["enlarge"] = True
    gravity: Gravity = operations.gravity
    centred = gravity == "focal" and operations.focal in (None, (0.5, 0.5))
    unused = fit not in ("cover", "pad") or (fit == "pad" and gravity in (*_SMART, "focal"))
    if gravity != "center" and (centred or unused):
        gravity = changes["gravity"] = "center"
    if gravity != "focal" and operations.focal is not None:
        changes["focal"] = None


def _normalise_turn(operations: Operations, changes: dict[str, object]) -> None:
    """Of the sixteen spellings of eight turns keep those with flip "" or "h": a vertical flip is h after half a turn."""
    if operations.flip not in ("v", "hv"):
        return
    changes["rotate"] = (operations.rotate + 180) % 360
    changes["flip"] = "h" if operations.flip == "v" else ""


def canonical_text(operations: Operations) -> str:
    """The operations as a native query in one fixed order; "" for none. It reads back to the same operations."""
    ops = normalise(operations)
    parts = (
        ops.width is not None and f"w={ops.width}",
        ops.height is not None and f"h={ops.height}",
        ops.fit != "scale-down" and f"fit={ops.fit}",
        not ops.enlarge and "enlarge=0",
        ops.region is not None and "crop={},{},{},{}".format(*structs.astuple(ops.region)),
        ops.focal is not None and f"fp={_decimal(ops.focal[0])},{_decimal(ops.focal[1])}",
        ops.focal is None and ops.gravity != "center" and f"g={ops.gravity}",
        ops.dpr != 1.0 and f"dpr={_decimal(ops.dpr)}",
        not ops.orient and "orient=0",
        ops.rotate != 0 and f"rot={ops.rotate}",
        ops.flip and f"flip={ops.flip}",
        ops.background and f"bg={ops.background}",
        ops.blur != 0 and f"blur={_decimal(ops.blur)}",
        ops.sharpen != 0 and f"sharpen={_decimal(ops.sharpen)}",
        ops.quality is not None and f"q={ops.quality}",
        ops.format != "source" and f"fm={ops.format}",
        ops.metadata != "none" and f"meta={ops.metadata}",
        not ops.animated and "anim=0",
    )
    return "&".join(part for part in parts if part)


def transform_hash(operations: Operations) -> str:
    """The first 22 characters (132 bits) of the base64url SHA-256 of the canonical text; signed as `th`."""
    return urlsafe_b64encode(sha256(canonical_text(operations).encode()).digest())[:22].decode()


def _decimal(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
