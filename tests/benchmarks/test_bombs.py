"""The bombs are what they are called: their header claims what the gate is to be tested with."""

from __future__ import annotations

import pytest
import pyvips

from benchmarks import bombs


@pytest.mark.parametrize(
    ("body", "loader", "side"),
    [
        (bombs.jpeg(65500, progressive=True, length=691), "jpegload_buffer", 65500),
        (bombs.jpeg(65500, progressive=False, length=803), "jpegload_buffer", 65500),
        (bombs.png(100000, depth=1, colour=0, data=False), "pngload_buffer", 100000),
        (bombs.png(30000, depth=8, colour=6, interlaced=True, data=False), "pngload_buffer", 30000),
        (bombs.webp(16000), "webpload_buffer", 16000),
        (bombs.avif(16000), "heifload_buffer", 16000),
        (bombs.tiff(30000), "tiffload_buffer", 30000),
    ],
)
def test_a_bomb_claims_its_size(body: bytes, loader: str, side: int) -> None:
    """libvips reads the claimed width and height from the header."""
    picture = pyvips.Image.new_from_buffer(body, "")
    assert (picture.get("vips-loader"), picture.width, picture.height) == (loader, side, side)


def test_the_smallest_bomb_has_691_bytes_and_is_progressive() -> None:
    """The file of which two fill a machine."""
    body = bombs.jpeg(65500, progressive=True, length=691)
    assert len(body) == 691
    assert pyvips.Image.new_from_buffer(body, "").get("interlaced") == 1


@pytest.mark.parametrize(("body", "pages"), [(bombs.gif(500, 300), 300), (bombs.tiff(500, 300), 300)])
def test_a_bomb_of_many_frames_has_them(body: bytes, pages: int) -> None:
    """Every frame is counted."""
    assert pyvips.Image.new_from_buffer(body, "").get("n-pages") == pages
