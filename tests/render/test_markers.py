"""What is read from a JPEG's markers is what libvips reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from countermark.render import jpeg
from countermark.render.colour import PROFILE
from countermark.render.engine import Engine
from countermark.render.gate import read_header, read_plain_header
from countermark.render.markers import Frame, plain_frame, samples_per_pixel
from countermark.render.source import open_picture
from tests.bombs import jpeg_header_bomb
from tests.pictures import photo, pixels, recipe

SMALL = pixels(photo("chelsea")).thumbnail_image(48).copy_memory()
PLAIN = (
    SMALL.jpegsave_buffer(keep="none"),
    SMALL.jpegsave_buffer(keep="none", subsample_mode="off", restart_interval=2),
    SMALL.colourspace("b-w").jpegsave_buffer(keep="none", optimize_coding=True),
)
FRAME, TABLES = b"\xff\xc0", b"\xff\xdb"


def headed(data: bytes) -> int:
    """How long the header is, with a few bytes of the first scan."""
    return data.index(b"\xff\xda") + 16


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A plain file whose header somebody has been at."""
    data = bytearray(draw(st.sampled_from(PLAIN)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(2, min(len(data), headed(PLAIN[0])) - 2))
        change = draw(st.sampled_from(("byte", "marker", "cut", "insert", "end")))
        if change == "byte":
            data[at] = draw(st.integers(0, 255))
        elif change == "marker":
            data[at : at + 2] = bytes((0xFF, draw(st.integers(0xC0, 0xFF))))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 20))]
        elif change == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=24))
        else:
            del data[max(at, 20) :]
        if len(data) < 24:
            break
    return bytes(data)


@given(damaged())
def test_a_plain_header_is_libvips_header(data: bytes) -> None:
    """Of whatever file it is told; and what libvips does not open is not shown either.

    Attack: a header that says one size to the cost gate and another to the decoder.
    """
    header = read_plain_header(data)
    if header is None:
        return
    try:
        picture = open_picture(pyvips.Source.new_from_memory(data), "jpeg")
    except pyvips.Error:
        assert header.width * header.height > 10**6 or jpeg.decode(data, header, 1.0) is None
        return
    assert read_header(picture, "jpeg", data) == header
    assert picture.get_typeof(PROFILE) == picture.get_typeof("orientation") == 0
    assert picture.interpretation == ("srgb" if header.bands == 3 else "b-w")


def test_a_plain_frame_says_size_and_components() -> None:
    """In colour and grey, behind whatever tables come first."""
    width, height = SMALL.width, SMALL.height
    assert [plain_frame(data) for data in PLAIN] == [Frame(width, height, bands) for bands in (3, 3, 1)]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: SMALL.jpegsave_buffer(keep="none", interlace=True),
        lambda data: SMALL.icc_export(output_profile="cmyk").jpegsave_buffer(keep="none"),
        lambda data: SMALL.icc_export(output_profile="p3").jpegsave_buffer(keep="icc"),
        lambda data: data[:2] + b"\xff\xe1\x00\x08Exif\0\0" + data[2:],
        lambda data: data[:2] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0" + data[2:],
        lambda data: data.replace(FRAME + b"\x00\x11\x08", FRAME + b"\x00\x11\x0c"),
        lambda data: data.replace(FRAME + b"\x00\x11\x08", FRAME + b"\x00\x12\x08"),
        lambda data: data[: data.index(FRAME) + 5] + b"\0\0" + data[data.index(FRAME) + 7 :],
        lambda data: data[: (at := data.index(FRAME))] + data[at : at + 19] + data[at:],
        lambda data: data.replace(b"\xff\xda\x00\x0c\x03", b"\xff\xda\x00\x08\x01"),
        lambda data: data.replace(TABLES, b"\0" + TABLES, 1),
        lambda data: data[: data.index(FRAME)],
        lambda data: data[:2] + b"\xff\xfe\x00\x02" * 5_000 + data[2:],
    ],
    ids=[
        "progressive",
        "inks",
        "profile",
        "exif",
        "adobe",
        "twelve-bit",
        "longer",
        "no-height",
        "two-frames",
        "scan-of-one",
        "stray",
        "no-frame",
        "segments",
    ],
)
def test_anything_else_is_not_plain(change: Callable[[bytes], bytes]) -> None:
    """There libvips is asked."""
    assert read_plain_header(PLAIN[0]) is not None
    assert read_plain_header(change(PLAIN[0])) is None


@pytest.mark.parametrize(
    "query", ["w=100", "w=100&meta=copyright", "w=60&h=60&fit=cover&g=attention", "fm=png", "w=900"]
)
def test_a_plain_original_is_rendered_like_any_other(engine: Engine, query: str) -> None:
    """To the same bytes as one with a camera's notes, which libvips opens."""
    plain = pixels(photo("coffee")).jpegsave_buffer(keep="none")
    noted = plain[:2] + b"\xff\xe1\x00\x08Exif\0\0" + plain[2:]
    assert read_plain_header(plain) is not None
    assert engine.render(plain, recipe(query)) == engine.render(noted, recipe(query))


def test_a_blemished_plain_original_is_shown_all_the_same(engine: Engine) -> None:
    """Its header is plain; what libjpeg warns of in its scan is left to libvips."""
    plain = pixels(photo("chelsea")).jpegsave_buffer(keep="none")
    blemished = plain[:-2] + bytes(50) + plain[-2:]
    header = read_plain_header(blemished)
    assert header is not None
    assert jpeg.decode(blemished, header, 1.0) is None
    assert engine.render(blemished, recipe("w=100")).width == 100


@pytest.mark.parametrize(("subsample", "samples"), [("on", 1.5), ("off", 3.0)])
def test_the_samples_of_a_jpeg_are_read_from_its_frame_header(subsample: str, samples: float) -> None:
    """Behind whatever segments come first."""
    data = pixels(photo("chelsea")).jpegsave_buffer(subsample_mode=subsample, interlace=True)
    assert samples_per_pixel(data) == samples
    assert samples_per_pixel(pixels(photo("chelsea")).colourspace("b-w").jpegsave_buffer()) == 1.0


def test_a_header_that_hides_its_samples_counts_as_the_worst() -> None:
    """Cut short, without a frame, or with factors of 0."""
    whole = jpeg_header_bomb(100, 100, progressive=True)
    at = whole.index(b"\xff\xc2")
    assert samples_per_pixel(whole) == 1.5
    assert samples_per_pixel(whole[: at + 8]) == samples_per_pixel(b"\xff\xd8\xff\xd9") == 4.0
    assert samples_per_pixel(whole.replace(b"\x01\x22\x00", b"\x01\x00\x00").replace(b"\x11", b"\x00")) == 4.0
    shared = whole[:at] + whole[at:].replace(b"\x02\x11", b"\x02\x22", 1).replace(b"\x03\x11", b"\x03\x22", 1)
    assert samples_per_pixel(shared) == 3.0
