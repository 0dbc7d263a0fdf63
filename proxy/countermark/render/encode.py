"""Encoding: one saver a format, with the effort that a request can afford.

Measured on one 800x533 photograph, one thread: WebP effort 2 takes 19 ms for 36 kB, effort 4 takes 43 ms for 34 kB.
AVIF effort 1 (the encoder's speed 8) takes 65 ms for 28 kB, effort 3 198 ms for 24 kB, effort 4 a second. JPEG with
optimised tables takes 5.1 instead of 2.5 ms and saves 1.5 %, progressive 7.3 ms and 2 %: neither is worth it at the
first request, which is the one that somebody waits for. PNG level 3 with the `sub` filter is as fast as without and
a fifth smaller on photographs. GIF effort 3 takes a third of the time of 7 for 2 % more bytes.
"""

from __future__ import annotations

import pyvips

from countermark.core.picture import Format
from countermark.imaging.operations import Recipe
from countermark.render import jpeg

_QUALITY = {"jpeg": 80, "webp": 78, "avif": 55}


def quality_of(target: Format, recipe: Recipe) -> int:
    """What the recipe asks for, else the settings, else our default; 0 for formats without."""
    return recipe.operations.quality or recipe.qualities.get(target) or _QUALITY.get(target, 0)


def encode(picture: pyvips.Image, target: Format, *, quality: int, keep: str, at_hand: bool) -> bytes:
    """The picture's file. `keep` names the metadata that stays, in libvips' words (none, exif, iptc).

    `at_hand` says that the picture is computed from pixels in memory, and not from a decoder's rows.
    """
    body: bytes
    if target == "jpeg":
        made = jpeg.encode(picture, quality) if at_hand and keep == "none" else None
        body = made or picture.jpegsave_buffer(Q=quality, keep=keep)
    elif target == "png":
        body = picture.pngsave_buffer(compression=3, filter="sub", keep=keep)
    elif target == "webp":
        body = picture.webpsave_buffer(Q=quality, effort=2, keep=keep)
    elif target == "avif":
        body = picture.heifsave_buffer(Q=quality, compression="av1", effort=1, keep=keep)
    else:
        body = picture.gifsave_buffer(effort=3, keep=keep)
    return body
