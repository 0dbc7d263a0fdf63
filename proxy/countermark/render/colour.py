"""Colours and colour profiles."""

from __future__ import annotations

import pyvips

PROFILE = "icc-profile-data"
_DESCRIPTION_BYTES = 128
_WHITE = (255, 255, 255)


def is_srgb(profile: bytes) -> bool:
    """Whether an ICC profile calls itself sRGB in its description (ICC.1:2022 §7.2, tag `desc`).

    One that lies about its name gets its colours as sRGB would have them; nothing else depends on this.
    """
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, 132 + 12 * min(count, 64), 12):
        if profile[at : at + 4] == b"desc":
            start = int.from_bytes(profile[at + 4 : at + 8], "big")
            text = profile[start + 12 : start + 12 + _DESCRIPTION_BYTES].replace(b"\0", b"")
            return b"sRGB" in text
    return False


def conversion(picture: pyvips.Image) -> dict[str, str]:
    """Options of `thumbnail_image` that bring this picture to sRGB; none where it is there already.

    The transform costs more than the resize of a small picture, and most profiles in the wild are sRGB's own.
    """
    if picture.interpretation == "cmyk":
        return {"output_profile": "srgb"}
    if picture.get_typeof(PROFILE) == 0 or is_srgb(picture.get(PROFILE)):
        return {}
    return {"output_profile": "srgb"}


def rgba(background: str) -> tuple[int, int, int, int]:
    """`rrggbb` or `rrggbbaa` to numbers; "" is white."""
    if not background:
        return (*_WHITE, 255)
    channels = bytes.fromhex(background)
    return channels[0], channels[1], channels[2], channels[3] if len(channels) == 4 else 255


def opaque(background: str) -> tuple[int, int, int]:
    """The background as it looks on white."""
    red, green, blue, alpha = rgba(background)
    return tuple((channel * alpha + 255 * (255 - alpha) + 127) // 255 for channel in (red, green, blue))  # type: ignore[return-value]
