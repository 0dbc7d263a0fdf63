"""What a JPEG's markers say of it (ITU-T T.81 Annex B), without decoding anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from countermark.render.source import Bytes

_MOST_SEGMENTS = 4096
_BASELINE = frozenset({0xC0, 0xC1})
_FRAMES = _BASELINE | {0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_START_OF_SCAN = 0xDA
# Huffman and quantisation tables, restart interval, JFIF's own segment, comment.
_BESIDE_THE_PICTURE = frozenset({0xC4, 0xDB, 0xDD, 0xE0, 0xFE})
_WHOLE_SPECTRUM = b"\x00\x3f\x00"
_FULL = 4.0
_SCAN = b"\xff\xda"


class Frame(NamedTuple):
    """Size in pixels, and number of components."""

    width: int
    height: int
    components: int


def plain_frame(data: Bytes) -> Frame | None:
    """The frame of a file that is nothing but a picture: 8 bit, grey or colour, baseline, one scan of all components.

    None for any other, so for each that has an APPn segment besides JFIF's: EXIF, a colour profile, Adobe's colours.
    """
    frame = None
    for marker, start, end in _segments(data):
        if marker in _BASELINE:
            if frame is not None:
                return None
            frame = _plain(bytes(data[start:end]))
        elif marker == _START_OF_SCAN:
            return frame if frame and _takes_all(bytes(data[start:end]), frame) else None
        elif marker not in _BESIDE_THE_PICTURE:
            return None
    return None


def samples_per_pixel(data: Bytes) -> float:
    """3 for full colour, 1.5 for 4:2:0, 1 for grey. Four where no frame header is found: the worst that there is.

    libvips says 4:2:0 of every file whose largest sampling factor is above 1, also when all components share that
    factor: a hostile header would cost twice what was foretold.
    """
    for marker, start, _ in _segments(data):
        if marker in _FRAMES:
            return _frame_samples(bytes(data[start : start + 18]))
    return _FULL


def count_scans(data: Bytes, most: int) -> int:
    """How many scans there are, at the most `most` + 1. Within a scan the marker cannot occur (§B.1.1.5)."""
    text, at, found = bytes(data), 0, 0
    while found <= most and (at := text.find(_SCAN, at) + 1):
        found += 1
    return found


def _segments(data: Bytes) -> Iterator[tuple[int, int, int]]:
    """Each marker with the start and the end of what follows its length; a bounded number of them."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        head = bytes(data[at : at + 4])
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:
            at += 1
            continue
        end = at + 2 + int.from_bytes(head[2:4], "big")
        yield head[1], at + 4, end
        at = end


def _plain(frame: bytes) -> Frame | None:
    """`frame`: precision, height, width, count, then three bytes a component."""
    if len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3) or len(frame) != 6 + 3 * frame[5]:
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return Frame(width, height, frame[5]) if height and width else None


def _takes_all(scan: bytes, frame: Frame) -> bool:
    """`scan`: count, then two bytes a component, then the three of the spectrum."""
    return scan[:1] == bytes([frame.components]) and scan[1 + 2 * frame.components :] == _WHOLE_SPECTRUM


def _frame_samples(frame: bytes) -> float:
    """`frame` begins after the segment's length: precision, height, width, count, then three bytes a component."""
    if len(frame) < 6 or not 1 <= frame[5] <= 4 or len(frame) < 6 + 3 * frame[5]:
        return _FULL
    factors = [(frame[at] >> 4, frame[at] & 15) for at in range(7, 6 + 3 * frame[5], 3)]
    across, down = max(h for h, _ in factors), max(v for _, v in factors)
    if not across or not down:
        return _FULL
    return sum(h * v for h, v in factors) / (across * down)
