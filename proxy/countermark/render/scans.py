"""What a JPEG's markers say of the work in it (ITU-T T.81 Annex B): samples for each pixel, and scans."""

from __future__ import annotations

from countermark.render.source import Bytes

_MOST_SEGMENTS = 4096
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_FULL = 4.0
_SCAN = b"\xff\xda"


def samples_per_pixel(data: Bytes) -> float:
    """3 for full colour, 1.5 for 4:2:0, 1 for grey. Four where no frame header is found: the worst that there is.

    libvips says 4:2:0 of every file whose largest sampling factor is above 1, also when all components share that
    factor: a hostile header would cost twice what was foretold.
    """
    at = 2
    for _ in range(_MOST_SEGMENTS):
        head = bytes(data[at : at + 4])
        if len(head) < 4 or head[0] != 0xFF:
            return _FULL
        if head[1] == 0xFF:
            at += 1
            continue
        if head[1] in _FRAMES:
            return _frame_samples(bytes(data[at + 4 : at + 22]))
        at += 2 + int.from_bytes(head[2:4], "big")
    return _FULL


def count_scans(data: Bytes, most: int) -> int:
    """How many scans there are, at the most `most` + 1. Within a scan the marker cannot occur (§B.1.1.5)."""
    text, at, found = bytes(data), 0, 0
    while found <= most and (at := text.find(_SCAN, at) + 1):
        found += 1
    return found


def _frame_samples(frame: bytes) -> float:
    """`frame` begins after the segment's length: precision, height, width, count, then three bytes a component."""
    if len(frame) < 6 or not 1 <= frame[5] <= 4 or len(frame) < 6 + 3 * frame[5]:
        return _FULL
    factors = [(frame[at] >> 4, frame[at] & 15) for at in range(7, 6 + 3 * frame[5], 3)]
    across, down = max(h for h, _ in factors), max(v for _, v in factors)
    if not across or not down:
        return _FULL
    return sum(h * v for h, v in factors) / (across * down)
