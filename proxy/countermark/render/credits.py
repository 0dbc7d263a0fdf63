"""Who made a picture: the few metadata fields that may stay when the rest (places, devices, times) is stripped."""

from __future__ import annotations

import pyvips

from countermark.render.colour import PROFILE

_EXIF = ("exif-ifd0-Copyright", "exif-ifd0-Artist")
_IPTC = "iptc-data"

# IPTC-IIM 4.2, record 2: By-line, Credit, Copyright Notice.
_DATASETS = (80, 110, 116)
_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = b"8BIM\x04\x04"
_LONGEST = 2_000


def with_credits(picture: pyvips.Image, original: pyvips.Image) -> tuple[pyvips.Image, str]:
    """The picture with no other metadata than its original's credits, and what a saver must keep ("none" without any).

    Copyright and artist come from EXIF and go wherever the target has EXIF; IPTC's by-line, credit and copyright
    notice go from JPEG to JPEG.
    """
    # In libvips' form, `text (text, ASCII, n components, n bytes)`, which its savers read back.
    exif = {name: original.get(name) for name in _EXIF if original.get_typeof(name)}
    iptc = _credit_records(original.get(_IPTC)) if original.get_typeof(_IPTC) else b""
    picture = picture.copy()
    for name in picture.get_fields():
        if name.startswith("exif-") or name in ("xmp-data", _IPTC, PROFILE, "orientation"):
            picture.remove(name)
    for name, text in exif.items():
        picture.set_type(pyvips.GValue.gstr_type, name, text)
    if iptc:
        picture.set_type(pyvips.GValue.blob_type, _IPTC, iptc)
    kept = [kind for kind, value in (("exif", exif), ("iptc", iptc)) if value]
    return picture, "|".join(kept) or "none"


def _credit_records(data: bytes) -> bytes:
    """A Photoshop resource block that holds only the credits of the given one, b"" where it has none."""
    start = data.find(_IPTC_RESOURCE) + 12 if data.startswith(_PHOTOSHOP) else 0
    records = b""
    while start + 5 <= len(data) and data[start] == 0x1C:
        length = int.from_bytes(data[start + 3 : start + 5], "big")
        if data[start + 1] == 2 and data[start + 2] in _DATASETS and length <= _LONGEST:
            records += data[start : start + 5 + length]
        start += 5 + length
    if not records:
        return b""
    padding = b"\0" if len(records) % 2 else b""
    return _PHOTOSHOP + _IPTC_RESOURCE + b"\0\0" + len(records).to_bytes(4, "big") + records + padding
