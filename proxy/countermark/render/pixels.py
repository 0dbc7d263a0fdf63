"""Decoded pixels in memory, and libvips' reduce of them by its C functions.

`frame` does the same by pyvips, which looks up every operation and property by name and makes objects around each: where
a rendition is nothing but a smaller picture, that is a tenth of its render (60 kB to 200 pixels: 1.57 and 1.43 ms).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyvips
from msgspec import Struct
from pyvips import GValue, ffi, glib_lib, gobject_lib, vips_lib

from countermark.imaging.operations import Region

# The default of libvips' resize: a box filter comes before Lanczos where a picture shrinks to less than a quarter.
GAP = 2.0

# Rows of a result are computed so many bytes, and at the most so many, at a time. Larger strips are no faster, and some
# operations (sharpen) hold sixty times a strip's size between them.
_STRIP = 2**15
_MOST_ROWS = 64

_UCHAR = GValue.to_enum(GValue.format_type, "uchar")


class Pixels(Struct, frozen=True, kw_only=True):
    """Samples of 8 bits from the top left, `bands` a pixel (1 grey, 3 colour), `stored_width` pixels a row.

    Of a row the first `width` belong to the picture, of the rows the first `height`.
    """

    data: bytearray
    stored_width: int
    width: int
    height: int
    bands: int

    def picture(self) -> pyvips.Image:
        """The same for libvips' operations."""
        picture = pyvips.Image.new_from_memory(self.data, self.stored_width, self.height, self.bands, "uchar")
        return picture if self.stored_width == self.width else picture.crop(0, 0, self.width, self.height)

    def reduced(self, width: int, height: int, box: Region) -> Pixels:
        """Shrunk to this size on both sides, and of that the box. Raises pyvips.Error."""
        held: list[Any] = []
        try:
            picture = _hold(held, self._opened(), "the pixels")
            if self.stored_width != self.width:
                cut = {b"input": picture, b"left": 0, b"top": 0, b"width": self.width, b"height": self.height}
                picture = _hold(held, _made(b"extract_area", cut), "the cut")
            shrink = {b"in": picture, b"hshrink": self.width / width, b"vshrink": self.height / height, b"gap": GAP}
            picture = _hold(held, _made(b"reduce", shrink), "the smaller picture")
            return computed(picture, box, self.bands)
        finally:
            for thing in reversed(held):
                gobject_lib.g_object_unref(thing)

    def _opened(self) -> Any:
        # libvips copies nothing and holds nothing: our data has to outlive what is made of it.
        memory = ffi.from_buffer(self.data)
        size = len(self.data)
        return vips_lib.vips_image_new_from_memory(memory, size, self.stored_width, self.height, self.bands, _UCHAR)


def computed(picture: Any, box: Region, bands: int) -> Pixels:
    """The box of a picture of `bands` samples of 8 bits, given by libvips' pointer to it. Raises pyvips.Error.

    It is computed here, on this thread: libvips' own loop hands each strip from one thread to another and back.
    """
    region = vips_lib.vips_region_new(picture)
    if region == ffi.NULL:
        raise pyvips.Error("unable to make a region")
    try:
        data = bytearray(box.width * box.height * bands)
        _fetch(region, box, min(max(1, _STRIP // (box.width * bands)), _MOST_ROWS), data)
    finally:
        gobject_lib.g_object_unref(region)
    return Pixels(data=data, stored_width=box.width, width=box.width, height=box.height, bands=bands)


def _fetch(region: Any, box: Region, rows: int, data: bytearray) -> None:
    room, size, at = ffi.from_buffer(data), ffi.new("size_t *"), 0
    for top in range(0, box.height, rows):
        strip = vips_lib.vips_region_fetch(
            region, box.left, box.top + top, box.width, min(rows, box.height - top), size
        )
        if strip == ffi.NULL:
            raise pyvips.Error("unable to compute a strip of rows")
        ffi.memmove(room + at, strip, size[0])
        at += size[0]
        glib_lib.g_free(strip)


def _hold(held: list[Any], thing: Any, name: str) -> Any:
    if thing == ffi.NULL:
        raise pyvips.Error(f"unable to make {name}")
    held.append(thing)
    return thing


def _made(name: bytes, properties: Mapping[bytes, Any]) -> Any:
    """The picture, now the caller's, that an operation makes with these properties; NULL where it fails."""
    operation = vips_lib.vips_operation_new(name)
    try:
        for key, setting in properties.items():
            _set(operation, key, setting)
        built = vips_lib.vips_cache_operation_build(operation)
        if built == ffi.NULL:
            vips_lib.vips_object_unref_outputs(ffi.cast("VipsObject *", operation))
            return ffi.NULL
        value = ffi.new("GValue *")
        gobject_lib.g_value_init(value, GValue.image_type)
        gobject_lib.g_object_get_property(ffi.cast("GObject *", built), b"out", value)
        out = gobject_lib.g_value_get_object(value)
        gobject_lib.g_object_ref(out)  # the value and the operation let go of it
        gobject_lib.g_value_unset(value)
        vips_lib.vips_object_unref_outputs(ffi.cast("VipsObject *", built))
        gobject_lib.g_object_unref(built)
        return ffi.cast("VipsImage *", out)
    finally:
        gobject_lib.g_object_unref(operation)


def _set(operation: Any, name: bytes, setting: Any) -> None:
    value = ffi.new("GValue *")
    if isinstance(setting, float):
        gobject_lib.g_value_init(value, GValue.gdouble_type)
        gobject_lib.g_value_set_double(value, setting)
    elif isinstance(setting, int):
        gobject_lib.g_value_init(value, GValue.gint_type)
        gobject_lib.g_value_set_int(value, setting)
    else:
        gobject_lib.g_value_init(value, GValue.image_type)
        gobject_lib.g_value_set_object(value, setting)
    gobject_lib.g_object_set_property(ffi.cast("GObject *", operation), name, value)
    gobject_lib.g_value_unset(value)
