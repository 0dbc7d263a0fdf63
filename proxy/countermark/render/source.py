"""Opening originals with libvips: which loader, with which options."""

from __future__ import annotations

import mmap

import pyvips

from countermark.core.picture import Format

Bytes = bytes | memoryview | mmap.mmap

_LOADERS: dict[Format, str] = {
    "jpeg": "jpegload_source",
    "png": "pngload_source",
    "gif": "gifload_source",
    "webp": "webpload_source",
    "avif": "heifload_source",
    "tiff": "tiffload_source",
}


def open_picture(source: pyvips.Source, format: Format, **options: object) -> pyvips.Image:
    """Read the header; pixels come when they are asked for, once, from top to bottom.

    A truncated original is an error: what libvips fills in would be cached as a half-grey picture.
    """
    picture: pyvips.Image = pyvips.Operation.call(
        _LOADERS[format], source, access="sequential", fail_on="truncated", **options
    )
    return picture
