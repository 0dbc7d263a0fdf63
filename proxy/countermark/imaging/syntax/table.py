"""The URL syntaxes by name; a dialect says which one its URLs are written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from countermark.core.target import Pair
from countermark.imaging.operations import Operations
from countermark.imaging.syntax import cloudinary, imagekit, imageproxy, imgix, imgproxy, keycdn, native, thumbor


class Reader(Protocol):
    """Reads pairs over a start value (a preset's operations)."""

    def __call__(self, pairs: tuple[Pair, ...], start: Operations | None = None) -> Operations | None: ...


SYNTAXES: Mapping[str, Reader] = {
    "native": native.read,
    "cloudinary": cloudinary.read,
    "imagekit": imagekit.read,
    "imageproxy": imageproxy.read,
    "imagor": thumbor.read_imagor,
    "imgix": imgix.read,
    "imgproxy": imgproxy.read,
    "keycdn": keycdn.read,
    "thumbor": thumbor.read_thumbor,
}
