"""Values that describe originals and what is made of them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Format = Literal["jpeg", "png", "webp", "avif", "gif", "tiff"]

CONTENT_TYPES: dict[str, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "tiff": "image/tiff",
}


class OriginFacts(Struct, frozen=True, kw_only=True):
    """What an origin says of an object without sending it. `size` in bytes, `modified` in unix seconds.

    `etag` keeps its quotes and `W/`. `validator` names this version of the object; "" where the origin gives none.
    """

    size: int | None = None
    etag: str = ""
    modified: float | None = None

    @property
    def validator(self) -> str:
        """A text that changes when the object does, or ""."""
        if self.etag:
            return self.etag
        if self.modified is not None:
            return f"{self.modified:.3f}-{self.size}"
        return ""


class Rendition(Struct, frozen=True, kw_only=True):
    """A finished picture, as caches keep it and as answers send it.

    `validator` is the original's (OriginFacts.validator), `etag` our own strong tag with quotes, `made` the unix time
    at which the original was last known to have that validator, `modified` the original's Last-Modified or None.
    """

    body: bytes
    content_type: str
    etag: str
    validator: str
    made: float
    modified: float | None = None
    width: int = 0
    height: int = 0
