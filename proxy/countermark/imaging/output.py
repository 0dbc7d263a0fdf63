"""The format of a rendition, once the original's header is known."""

from __future__ import annotations

from countermark.core.picture import Format
from countermark.imaging.operations import Recipe

ALPHA: frozenset[Format] = frozenset({"png", "webp", "avif", "gif"})
ANIMATED: frozenset[Format] = frozenset({"gif", "webp"})

# What the formats themselves can hold: 16 bit in JPEG and GIF, 14 bit in WebP, the AV1 encoder's bound in AVIF.
LARGEST_SIDE: dict[Format, int] = {"jpeg": 65_500, "png": 65_535, "webp": 16_383, "avif": 16_384, "gif": 65_535}


def output_format(source: Format, *, alpha: bool, frames: int, side: int, recipe: Recipe) -> Format:
    """The format for an original of format `source` and a rendition whose longer side has `side` pixels.

    auto takes the first accepted format that can hold the rendition, an animated one for an animation (GIF where
    none is accepted: every client shows it), and else keeps JPEG and PNG and turns the rest into one of these two.
    """
    asked = recipe.operations.format
    if asked == "source":
        return _plain(alpha) if source == "tiff" else source
    if asked != "auto":
        return asked
    moving = frames > 1 and recipe.operations.animated
    for format in recipe.accepts:
        if side <= LARGEST_SIDE[format] and (format in ANIMATED or not moving):
            return format
    if moving:
        return "gif"
    return source if source in ("jpeg", "png") else _plain(alpha or source == "gif")


def _plain(alpha: bool) -> Format:
    return "png" if alpha else "jpeg"
