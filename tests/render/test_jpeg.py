"""JPEG through memory: it shows what libvips shows, and leaves to libvips what is unusual."""

from __future__ import annotations

import math

import pytest
import pyvips
from msgspec import structs

from countermark.core.errors import PictureBroken
from countermark.render import jpeg
from countermark.render.engine import Engine
from countermark.render.gate import MOST_HELD, Header, held, read_header
from countermark.render.source import open_picture
from tests.pictures import encoded, photo, pixels, recipe

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def opened(data: bytes) -> tuple[pyvips.Image, Header]:
    picture = open_picture(pyvips.Source.new_from_memory(data), "jpeg")
    return picture, read_header(picture, "jpeg", data)


def decoded(data: bytes, scale: float = 1.0) -> pyvips.Image | None:
    _, header = opened(data)
    made = jpeg.decode(data, header, scale)
    return None if made is None else made.picture()


def decibels(one: pyvips.Image, other: pyvips.Image) -> float:
    """Peak signal-to-noise ratio."""
    return 10 * math.log10(255 * 255 / ((one - other) ** 2).avg())


@pytest.mark.parametrize("block", [1, 2, 4, 8])
@pytest.mark.parametrize("name", PHOTOS)
def test_the_pixels_are_those_of_libvips_own_reader(name: str, block: int) -> None:
    """At each scale, also where the last block is not full."""
    data = photo(name)
    ours, theirs = decoded(data, 1 / block), pixels(data, shrink=block)
    assert ours is not None
    assert (ours.width, ours.height, ours.bands, ours.interpretation) == (
        theirs.width, theirs.height, theirs.bands, theirs.interpretation,
    )  # fmt: skip
    assert (ours - theirs).abs().max() == 0


def test_grey_stays_grey(engine: Engine) -> None:
    """One band in, one band out."""
    grey = pixels(photo("coffee")).colourspace("b-w").jpegsave_buffer()
    ours = decoded(grey)
    assert ours is not None
    assert (ours.bands, ours.interpretation) == (1, "b-w")
    assert pixels(engine.render(grey, recipe("w=100")).body).bands == 1


@pytest.mark.parametrize("quality", [30, 80, 89, 96, 100])
def test_a_written_file_is_as_good_and_as_small_as_libvips_own(quality: int) -> None:
    """The same tables: within a tenth of a decibel and a hundredth of the size."""
    picture = pixels(photo("chelsea")).thumbnail_image(300).copy_memory()
    theirs = picture.jpegsave_buffer(Q=quality, keep="none")
    ours = jpeg.encode(picture, quality)
    assert ours is not None
    assert len(ours) == pytest.approx(len(theirs), rel=0.01)
    assert decibels(pixels(ours), picture) > decibels(pixels(theirs), picture) - 0.1


@pytest.mark.parametrize("width", [1, 15, 16, 17, 451, 3000])
def test_strips_of_rows_make_a_whole_picture(width: int) -> None:
    """Whatever a row's length is, no row is lost or doubled."""
    picture = pixels(photo("chelsea")).resize(width / 451, vscale=1).copy_memory()
    body = jpeg.encode(picture, 96)
    assert body is not None
    assert (pixels(body) - picture).abs().avg() < 1.5


def test_what_the_fast_transform_would_show_is_left_to_libvips() -> None:
    """And so are alpha, sixteen bits and foreign colours."""
    picture = pixels(photo("chelsea"))
    assert jpeg.encode(picture, 92) is None
    for unusual in (picture.bandjoin(255), picture.colourspace("rgb16"), picture.colourspace("lab")):
        assert jpeg.encode(unusual, 80) is None


def test_inks_and_twelve_bits_are_left_to_libvips(engine: Engine) -> None:
    """A CMYK original is a picture like any other to whoever asks for it."""
    inks = pixels(photo("coffee")).icc_export(output_profile="cmyk").jpegsave_buffer()
    assert decoded(inks) is None
    assert pixels(engine.render(inks, recipe("w=100")).body).bands == 3
    _, header = opened(photo("coffee"))
    assert jpeg.decode(photo("coffee"), structs.replace(header, depth=2), 1.0) is None


def test_a_profile_is_followed_as_by_libvips(engine: Engine) -> None:
    """Colours of another space come to sRGB, whoever decoded them."""
    wide = pixels(photo("astronaut")).icc_export(output_profile="p3").jpegsave_buffer(Q=95)
    plain = pyvips.Image.thumbnail_buffer(wide, 100, output_profile="srgb").copy_memory()
    ours = pixels(engine.render(wide, recipe("w=100&fm=png")).body)
    assert decoded(wide) is not None
    assert (ours - plain).abs().avg() < 1
    assert (ours - pixels(wide).thumbnail_image(100)).abs().avg() > 1


def test_credits_come_from_the_original(engine: Engine) -> None:
    """They do not pass through the decoder."""
    signed = pixels(photo("rocket")).copy()
    signed.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Copyright", "A. Mender")
    data = signed.jpegsave_buffer()
    kept = pixels(engine.render(data, recipe("w=100&meta=copyright")).body)
    assert "A. Mender" in kept.get("exif-ifd0-Copyright")


def test_a_truncated_original_is_broken_and_a_blemished_one_is_not(engine: Engine) -> None:
    """What libjpeg only warns of is shown, as by libvips; what is missing is not made up."""
    data = photo("chelsea")
    first = 4 + int.from_bytes(data[4:6], "big")
    blemished = data[:first] + b"\0\0\0" + data[first:]  # bytes that belong to no segment
    assert decoded(blemished) is None
    assert engine.render(blemished, recipe("w=100")).width == 100
    assert decoded(data[:-2000]) is None
    with pytest.raises(PictureBroken, match="truncated"):
        engine.render(data[:-2000], recipe("w=100"))


def test_a_decoder_that_reads_another_header_finds_no_room() -> None:
    """The gate let in what libvips read. Were the two led to see different sizes, the larger would be decoded unasked."""
    data = photo("astronaut")
    _, header = opened(data)
    for lie in ({"width": 100}, {"height": 100}, {"width": 100, "height": 100}, {"width": 4000}):
        assert jpeg.decode(data, structs.replace(header, **lie), 1.0) is None


def test_large_pictures_stream_by() -> None:
    """What is held at once is bounded, on the way in and on the way out."""
    _, header = opened(photo("coffee"))
    large = structs.replace(header, width=4000, height=4000)
    assert held(large, 1.0) == 0
    assert 0 < held(large, 0.5) <= MOST_HELD
    assert held(structs.replace(header, format="png"), 1.0) == 0
    data = encoded(pyvips.Image.black(4000, 4000, bands=3).copy(interpretation="srgb"), "jpeg")
    assert decoded(data) is None
    assert decoded(data, 0.5) is not None
    assert jpeg.encode(pixels(data), 80) is None
