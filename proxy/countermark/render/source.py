"""Opening originals with libvips: which loader, with which options."""

from __future__ import annotations

import mmap
import os

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

# Higher than any honest animation's joined frames (500 frames of 16,000 rows), lower than a header can claim.
_MAX_COORD = 8_000_000


def prepare_libvips() -> None:
    """Make libvips fit for hostile input; called once in each render child, before its first picture.

    Only the named loaders and savers stay open: of those that libvips itself calls trusted, several parse formats
    that nobody here asks for. Operations are not cached, because no two renders share their input, and each child
    computes on one thread, because there is one child for each core.
    """
    os.environ["VIPS_MAX_COORD"] = str(_MAX_COORD)
    pyvips.operation_block_set("VipsForeignLoad", True)
    pyvips.operation_block_set("VipsForeignSave", True)
    for name in _OPEN_CLASSES:
        pyvips.operation_block_set(name, False)
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)


def open_picture(source: pyvips.Source, format: Format, **options: object) -> pyvips.Image:
    """Read the header; pixels come when they are asked for, once, from top to bottom.

    A truncated original is an error: what libvips fills in would be cached as a half-grey picture.
    """
    picture: pyvips.Image = pyvips.Operation.call(
        _LOADERS[format], source, access="sequential", fail_on="truncated", **options
    )
    return picture
