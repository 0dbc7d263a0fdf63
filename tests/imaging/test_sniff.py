"""Formats by first bytes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from countermark.imaging.sniff import SNIFF_BYTES, sniff
from tests.pictures import FORMATS, encoded, photo, pixels


@pytest.mark.parametrize("format", FORMATS)
def test_a_real_picture_is_known_by_its_first_bytes(format: str) -> None:
    """As libvips writes them."""
    assert sniff(encoded(pixels(photo("chelsea")), format)[:SNIFF_BYTES]) == format


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\xff\xd8", b"<svg xmlns=", b"<html>", b"%PDF-1.7", b"BM" + b"\0" * 60, b"RIFF\0\0\0\0WAVE", b"GIF88a",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", b"\xff\x0a", b"8BPS",
    ],
)  # fmt: skip
def test_anything_else_is_not_a_picture_that_we_read(head: bytes) -> None:
    """SVG, HEIC, videos, JPEG XL and documents among them."""
    assert sniff(head) is None


def test_an_avif_may_say_so_among_its_compatible_brands() -> None:
    """As encoders that write mif1 first do; a brand beyond the box's end does not count."""
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "avif"
    assert sniff(b"\0\0\0\x14ftypmif1\0\0\0\0mif1avifmiaf") is None


def test_sniffing_needs_no_libvips() -> None:
    """The gateway's own process never loads it."""
    code = "import sys, countermark.imaging.sniff; assert 'pyvips' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], timeout=30, env={"PYTHONPATH": ":".join(sys.path)}, check=True)
