"""Pictures that are small to send and dear to decode, built byte by byte. None needs an encoder or a large buffer."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator


def jpeg_header_bomb(width: int, height: int, *, progressive: bool) -> bytes:
    """A three-component 4:2:0 JPEG of which only the header is there, then the end marker."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes((1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0))
    spectral = b"\x00\x00\x00" if progressive else b"\x00\x3f\x00"
    scan = b"\x03\x01\x00\x02\x00\x03\x00" + spectral
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xDB, b"\x00" + b"\x01" * 64),
            _segment(0xC2 if progressive else 0xC0, frame),
            _segment(0xC4, b"\x00" + bytes((1,) + (0,) * 15) + b"\x00"),
            _segment(0xC4, b"\x10" + bytes((1,) + (0,) * 15) + b"\x00"),
            _segment(0xDA, scan),
            b"\x00" * 16,
            b"\xff\xd9",
        )
    )


def png_bomb(width: int, height: int, *, interlaced: bool, colour_type: int = 6, rows: int = 64) -> bytes:
    """A PNG that claims its size and brings the first `rows` rows of zeros; colour_type 6 is RGBA, 0 grey."""
    channels = {0: 1, 2: 3, 6: 4}[colour_type]
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, int(interlaced))
    data = zlib.compress(bytes((1 + width * channels) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def gif_bomb(width: int, height: int, *, frames: int) -> bytes:
    """A GIF with a two-colour table and `frames` frames of one pixel on a canvas of this size."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * frames + b"\x3b"


def webp_bomb(width: int, height: int) -> bytes:
    """A lossless WebP whose header claims its size (14 bits a side)."""
    bits = (width - 1) | (height - 1) << 14
    body = b"\x2f" + struct.pack("<I", bits) + b"\x88\x88\x08" + b"\x00" * 32
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def tiff_bomb(width: int, height: int) -> bytes:
    """An uncompressed grey TIFF with one strip for the whole picture, of which nothing is there."""
    entries = (
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, min(width * height, 2**32 - 1)),
    )  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHI", tag, kind, 1) + (
            struct.pack("<I", value) if kind == 4 else struct.pack("<HH", value, 0)
        )
    return b"II*\x00" + struct.pack("<I", 8) + directory + b"\x00" * 64


def claim_avif_size(avif: bytes, width: int, height: int) -> bytes:
    """A real AVIF with another size in its `ispe` box (ISO 23008-12 §6.5.3)."""
    at = avif.index(b"ispe") + 8
    return avif[:at] + struct.pack(">II", width, height) + avif[at + 8 :]


def many_scans(jpeg: bytes, count: int) -> bytes:
    """A real progressive JPEG with its last scan written so many times over."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * count + jpeg[-2:]


def bombs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """All of them by name, each to be refused from its header."""
    yield "progressive-jpeg-65500", lambda: jpeg_header_bomb(65_500, 65_500, progressive=True)
    yield "baseline-jpeg-65500", lambda: jpeg_header_bomb(65_500, 65_500, progressive=False)
    yield "progressive-jpeg-30000", lambda: jpeg_header_bomb(30_000, 30_000, progressive=True)
    yield "png-30000", lambda: png_bomb(30_000, 30_000, interlaced=False)
    yield "png-30000-interlaced", lambda: png_bomb(30_000, 30_000, interlaced=True)
    yield "png-100000", lambda: png_bomb(100_000, 100_000, interlaced=False, colour_type=0)
    yield "gif-10000-frames", lambda: gif_bomb(500, 500, frames=10_000)
    yield "gif-10000-large-frames", lambda: gif_bomb(2_000, 2_000, frames=10_000)
    yield "webp-16000", lambda: webp_bomb(16_000, 16_000)
    yield "tiff-30000", lambda: tiff_bomb(30_000, 30_000)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
