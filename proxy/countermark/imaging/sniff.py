"""The format of a picture by its first bytes, whatever its name or type says. Needs no libvips."""

from __future__ import annotations

from countermark.core.picture import Format

SNIFF_BYTES = 64

_AVIF_BRANDS = (b"avif", b"avis")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def sniff(head: bytes) -> Format | None:
    """The format that the first SNIFF_BYTES bytes begin, None for everything that the gateway does not read."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    if head.startswith(_TIFF):
        return "tiff"
    return None


def _sniff_brands(head: bytes) -> Format | None:
    """AVIF by its major brand or one of its compatible ones (ISO 14496-12 §4.3); HEIC and videos share the box."""
    size = min(int.from_bytes(head[:4], "big"), SNIFF_BYTES)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    return "avif" if any(brand in _AVIF_BRANDS for brand in brands) else None
