"""Small files that cost much, written byte by byte: pictures whose header claims more than their bytes hold.

The measured cost of each in an unguarded decoder is why they are here: the first one takes 12 GB and half a minute.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pyvips

# Annex K of ITU-T T.81: code counts by length, then symbols, of the usual luminance tables (DC, AC).
DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
DC_SYMBOLS = bytes(range(12))
AC_COUNTS = bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125])
AC_SYMBOLS = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a34353637"
    "38393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3"
    "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """One file, and the format that is asked of it: only into an animated one do all frames go."""

    name: str
    make: Callable[[], bytes]
    target: Literal["jpeg", "webp"] = "jpeg"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(side: int, *, progressive: bool, length: int = 0, scans: int = 1, whole_colour: bool = False) -> bytes:
    """A JPEG that claims side x side pixels in 3 components and has `scans` nearly empty scans; padded to `length`.

    `whole_colour` is 4:4:4, whose coefficients take 6 bytes a pixel where those of 4:2:0 take 3.
    """
    components = bytes([1, 0x11 if whole_colour else 0x22, 0, 2, 0x11, 0, 3, 0x11, 0])
    frame = struct.pack(">BHHB", 8, side, side, 3) + components
    tables = b"".join(
        _segment(0xC4, bytes([kind << 4 | slot]) + counts + symbols)
        for slot in (0, 1)
        for kind, counts, symbols in ((0, DC_COUNTS, DC_SYMBOLS), (1, AC_COUNTS, AC_SYMBOLS))
    )
    last = 0 if progressive else 63
    scan = _segment(0xDA, bytes([3, 1, 0x00, 2, 0x00, 3, 0x00, 0, last, 0]))
    start = b"\xff\xd8" + _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    quantisers = b"".join(_segment(0xDB, bytes([slot]) + bytes([16] * 64)) for slot in (0, 1))
    head = start + quantisers + _segment(0xC2 if progressive else 0xC0, frame) + tables
    data = bytes(max(0, length - len(head) - len(scan) - 2)) if length else bytes(16)
    return head + (scan + data) * scans + b"\xff\xd9"


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _zeros(count: int) -> bytes:
    """So many zero bytes, compressed a piece at a time."""
    packer = zlib.compressobj(1)
    piece = bytes(2**20)
    parts = [packer.compress(piece) for _ in range(count // len(piece))]
    return b"".join([*parts, packer.compress(bytes(count % len(piece))), packer.flush()])


def png(side: int, *, depth: int, colour: int, interlaced: bool = False, data: bool = True) -> bytes:
    """A black PNG of side x side pixels; `colour` 0 is grey, 2 RGB, 6 RGBA. Without `data` there is only its header."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, int(interlaced))
    row = 1 + (side * depth * channels + 7) // 8
    # The seven interlaced passes have a few more filter bytes than there are rows.
    content = _zeros(row * side + (side * 2 if interlaced else 0)) if data else zlib.compress(b"\0")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def gif(side: int, frames: int) -> bytes:
    """An animation of `frames` frames, each changing one pixel of a side x side screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = (
        b"\x21\xf9\x04\x04\x01\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    )
    return head + frame * frames + b"\x3b"


def tiff(side: int, pages: int = 1) -> bytes:
    """Little-endian TIFF, grey, deflated, one strip a page; a strip has 250,000 pixels whatever is claimed."""
    strip = zlib.compress(bytes(250_000))
    strip += bytes(len(strip) % 2)
    parts, offset = [b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip], 8 + len(strip)
    for page in range(pages):
        fields = (
            (256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1),
            (273, 4, 8), (277, 3, 1), (278, 4, side), (279, 4, len(strip)),
        )  # fmt: skip
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
        offset += 2 + len(entries) + 4
        following = offset if page + 1 < pages else 0
        parts.append(struct.pack("<H", len(fields)) + entries + struct.pack("<I", following))
    return b"".join(parts)


def webp(side: int) -> bytes:
    """A lossless WebP of one colour: five prefix codes of one symbol each, so that a pixel takes no bit at all."""
    code = 0b0001  # simple, one symbol, written in one bit, which is 0
    codes = sum(code << 4 * number for number in range(5))
    bits = (side - 1) | (side - 1) << 14 | codes << 35  # no alpha, version 0, no transform, no colour cache, no groups
    stream = b"\x2f" + bits.to_bytes(9, "little")
    chunk = b"VP8L" + struct.pack("<I", len(stream)) + stream
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def avif(side: int) -> bytes:
    """A small AVIF whose container (box `ispe`) claims side x side pixels."""
    picture = bytearray(pyvips.Image.black(64, 64, bands=3).heifsave_buffer(compression="av1", effort=0, keep="none"))
    place = picture.index(b"ispe") + 8
    struct.pack_into(">II", picture, place, side, side)
    return bytes(picture)


def svg_laughs() -> bytes:
    """Entities of entities of entities."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE svg [<!ENTITY e0 "ha">{entities}]><svg xmlns="http://www.w3.org/2000/svg">&e9;</svg>'.encode()


def svg_fetch() -> bytes:
    """A drawing that would read a file and ask a server."""
    images = '<image href="file:///etc/passwd"/><image href="http://127.0.0.1:1/x.png"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{images}</svg>'.encode()


BOMBS = (
    Bomb(name="JPEG 65500² progressive, 691 bytes", make=lambda: jpeg(65500, progressive=True, length=691)),
    Bomb(name="JPEG 65500² baseline, 803 bytes", make=lambda: jpeg(65500, progressive=False, length=803)),
    Bomb(name="JPEG 30000² progressive", make=lambda: jpeg(30000, progressive=True)),
    Bomb(name="JPEG with 3,000 scans", make=lambda: jpeg(2000, progressive=True, scans=3000)),
    Bomb(name="PNG 30000² grey", make=lambda: png(30000, depth=8, colour=0)),
    Bomb(name="PNG 30000² RGBA", make=lambda: png(30000, depth=8, colour=6, data=False)),
    Bomb(name="PNG 30000² RGBA interlaced", make=lambda: png(30000, depth=8, colour=6, interlaced=True, data=False)),
    Bomb(name="PNG 100000² of one bit", make=lambda: png(100000, depth=1, colour=0, data=False)),
    Bomb(name="AVIF claiming 16000²", make=lambda: avif(16000)),
    Bomb(name="WebP 16000² lossless", make=lambda: webp(16000)),
    Bomb(name="TIFF 30000², one strip", make=lambda: tiff(30000)),
    Bomb(name="GIF of 10,000 frames", make=lambda: gif(500, 10_000), target="webp"),
    Bomb(name="SVG of nested entities", make=svg_laughs),
    Bomb(name="SVG that fetches", make=svg_fetch),
)

ADMITTED = (
    Bomb(name="JPEG 10000² progressive", make=lambda: jpeg(10000, progressive=True)),
    Bomb(name="JPEG 9000² progressive 4:4:4", make=lambda: jpeg(9000, progressive=True, whole_colour=True)),
    Bomb(name="PNG 10000² grey interlaced", make=lambda: png(10000, depth=8, colour=0, interlaced=True)),
    Bomb(name="WebP 7000² lossless", make=lambda: webp(7000)),
    Bomb(name="TIFF of 10,000 pages, its first one", make=lambda: tiff(500, 10_000)),
)
