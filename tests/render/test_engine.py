"""Renditions of real photographs and of edge cases."""

from __future__ import annotations

import mmap
import struct

import pytest
import pyvips

from countermark.core.errors import PictureBroken, PictureError, PictureUnsupported
from countermark.imaging.operations import Mark
from countermark.render.engine import Engine
from countermark.render.source import Bytes
from tests.pictures import FORMATS, animation, encoded, logo, photo, pixels, recipe

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
TARGETS = ("jpeg", "png", "webp", "avif", "gif")


def made(engine: Engine, data: Bytes, query: str, **more: object) -> pyvips.Image:
    """The pixels of a rendition, whose announced size is checked by the way."""
    result = engine.render(data, recipe(query, **more))  # type: ignore[arg-type]
    picture = pixels(result.body)
    assert (picture.width, picture.height) == (result.width, result.height)
    return picture


def difference(one: pyvips.Image, other: pyvips.Image) -> float:
    """Mean absolute difference of the colours, 0..255."""
    return float((one.colourspace("srgb")[:3] - other.colourspace("srgb")[:3]).abs().avg())


@pytest.mark.parametrize("name", PHOTOS)
def test_a_halved_photograph_is_what_libvips_thumbnail_makes(engine: Engine, name: str) -> None:
    """The same pixels, so the bare pipeline is a fair measure of the engine's speed."""
    data = photo(name)
    even = pixels(data).crop(0, 0, 448, 296).jpegsave_buffer(Q=90)
    for width in (224, 112, 56):
        bare = pyvips.Image.thumbnail_buffer(even, width)
        assert (made(engine, even, f"w={width}&fm=png") - bare).abs().max() == 0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_becomes_every_other(engine: Engine, format: str, target: str) -> None:
    """And still shows the same."""
    original = pixels(photo("coffee")).resize(0.5)
    result = made(engine, encoded(original, format), f"w=150&fm={target}")
    assert difference(result, original.thumbnail_image(150)) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_exif_orientations_give_the_same_picture(engine: Engine, orientation: int) -> None:
    """Each original is stored so that its tag undoes it, here by libvips' own reading of the tag."""
    upright = pixels(photo("chelsea"))
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright.copy()
    stored.set_type(pyvips.GValue.gint_type, "orientation", undo)
    stored = stored.autorot().copy_memory()
    stored.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    data = stored.jpegsave_buffer(Q=95)
    for query in ("w=200", "w=80&h=120&fit=cover&g=w", "crop=20,30,200,100&w=100"):
        assert difference(made(engine, data, query), made(engine, photo("chelsea"), query)) < 4
    kept = made(engine, data, "w=100&orient=0")
    assert kept.width / kept.height == pytest.approx(stored.width / stored.height, rel=0.02)


def test_rotate_and_flip_come_after_the_orientation(engine: Engine) -> None:
    """Compared with libvips' own turns."""
    picture = made(engine, photo("rocket"), "w=200&fm=png")
    for query, expected in (
        ("rot=90", picture.rot90()),
        ("rot=270&flip=h", picture.rot270().fliphor()),
        ("flip=v", picture.flipver()),
        ("rot=180", picture.rot180()),
    ):
        side = "h=200" if "90" in query or "270" in query else "w=200"
        assert difference(made(engine, photo("rocket"), f"{query}&{side}&fm=png"), expected) < 1


def test_a_region_is_cut_from_the_original_before_the_resize(engine: Engine) -> None:
    """Also where the decoder shrinks the picture on the way."""
    large = pixels(photo("coffee")).resize(4).jpegsave_buffer(Q=95)
    expected = pixels(photo("coffee")).crop(100, 50, 400, 200).thumbnail_image(50)
    assert difference(made(engine, large, "crop=400,200,1600,800&w=50&fm=png"), expected) < 4


def test_a_region_outside_is_refused_with_the_pictures_size(engine: Engine) -> None:
    """The picture is not called broken: another region of it would do."""
    with pytest.raises(PictureError, match="451x300"):
        engine.render(photo("chelsea"), recipe("crop=451,0,5,5"))


@pytest.mark.parametrize("gravity", ["attention", "entropy", "n", "se", "fp"])
def test_a_cover_fills_its_box_whatever_decides_the_place(engine: Engine, gravity: str) -> None:
    """Also after a quarter turn."""
    point = "&fp=0.9,0.1" if gravity == "fp" else ""
    for turn in ("", "&rot=90"):
        picture = made(engine, photo("astronaut"), f"w=90&h=200&fit=cover&g={gravity}{point}{turn}")
        assert (picture.width, picture.height) == (90, 200)


def test_smart_gravity_finds_what_stands_out(engine: Engine) -> None:
    """A red square on plain grey, far from the centre."""
    scene = (pyvips.Image.black(600, 200, bands=3) + 120).cast("uchar").copy(interpretation="srgb")
    scene = scene.draw_rect([250, 20, 20], 500, 60, 60, 60, fill=True)
    for gravity in ("attention", "entropy"):
        picture = made(engine, encoded(scene, "png"), f"w=200&h=200&fit=cover&g={gravity}")
        assert picture[0].max() > 200
        assert picture[1].min() < 60


def test_pad_surrounds_with_the_background(engine: Engine) -> None:
    """White where none was given; transparent where both sides know alpha."""
    assert made(engine, photo("chelsea"), "w=100&h=100&fit=pad&fm=png")(50, 2) == [255, 255, 255]
    assert made(engine, photo("chelsea"), "w=100&h=100&fit=pad&bg=f00&fm=png&g=s")(50, 2) == [255, 0, 0]
    assert made(engine, photo("chelsea"), "w=100&h=100&fit=pad&bg=00ff0080&fm=png")(50, 2) == [0, 255, 0, 128]
    assert made(engine, logo(), "w=100&h=100&fit=pad")(50, 2)[3] == 0


def test_alpha_is_kept_or_laid_on_the_background(engine: Engine) -> None:
    """White where the target has no alpha; a given background even where it has."""
    assert made(engine, logo(), "w=80&fm=webp").hasalpha()
    assert min(made(engine, logo(), "w=80&fm=jpeg")(1, 1)) > 240
    green = made(engine, logo(), "w=80&bg=0f0")
    assert green(0, 0)[:3] == [0, 255, 0] and not green.hasalpha()


def test_invisible_colours_do_not_bleed_when_resized_or_blurred(engine: Engine) -> None:
    """A white picture whose transparent half is black stays white at the seam."""
    half = (pyvips.Image.black(100, 40, bands=3) + 255).bandjoin(255).cast("uchar").copy(interpretation="srgb")
    seam = half.draw_rect([0, 0, 0, 0], 50, 0, 50, 40, fill=True)
    for query in ("w=37", "blur=4"):
        picture = made(engine, encoded(seam, "png"), query)
        visible = picture[3] > 16
        assert visible.ifthenelse(picture[0], 255).min() > 235


def test_blur_and_sharpen_change_the_detail(engine: Engine) -> None:
    """Measured as the deviation of a Laplacian."""
    mask = pyvips.Image.new_from_array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])

    def detail(query: str) -> float:
        return float(made(engine, photo("chelsea"), f"w=200&fm=png&{query}").colourspace("b-w").conv(mask).deviate())

    assert detail("blur=3") < 0.5 * detail("q=80") < 0.5 * detail("sharpen=2")


def test_quality_decides_the_size(engine: Engine) -> None:
    """The request's before the settings', the settings' before the default."""
    sizes = [
        len(engine.render(photo("coffee"), recipe(query, qualities=qualities)).body)
        for query, qualities in (
            ("q=20", {"jpeg": 90}),
            ("w=600", {"jpeg": 50}),
            ("w=600", {}),
            ("w=600", {"jpeg": 95}),
        )
    ]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4


def test_a_wide_gamut_profile_is_brought_to_srgb(engine: Engine) -> None:
    """P3 has other numbers for the same colours; the profile itself is gone afterwards."""
    original = pixels(photo("astronaut")).resize(0.5)
    wide = original.icc_transform("p3", input_profile="srgb").jpegsave_buffer(Q=95, profile="p3")
    raw = pixels(wide)
    assert raw.get_typeof("icc-profile-data")
    result = made(engine, wide, "q=95")
    assert not result.get_typeof("icc-profile-data")
    assert difference(result, original) < 2.5 < difference(raw, original)


def test_an_srgb_profile_changes_nothing(engine: Engine) -> None:
    """The transform is skipped, as the equal bytes show."""
    plain = pixels(photo("coffee"))
    tagged = plain.jpegsave_buffer(profile="srgb")
    assert engine.render(tagged, recipe("w=300")).body == engine.render(plain.jpegsave_buffer(), recipe("w=300")).body


def test_cmyk_becomes_srgb(engine: Engine) -> None:
    """With libvips' own CMYK profile."""
    original = pixels(photo("coffee"))
    cmyk = original.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=95)
    assert pixels(cmyk).interpretation == "cmyk"
    assert difference(made(engine, cmyk, "w=300"), original.thumbnail_image(300)) < 12


@pytest.mark.parametrize("space", ["grey16", "rgb16", "b-w"])
def test_deep_and_grey_pictures_become_eight_bit(engine: Engine, space: str) -> None:
    """With the same brightness."""
    original = pixels(photo("chelsea"))
    for format in ("png", "tiff"):
        picture = made(engine, encoded(original.colourspace(space), format), "w=200&fm=png")
        assert picture.format == "uchar"
        grey = original.thumbnail_image(200).colourspace("b-w")
        assert abs(picture.colourspace("b-w").avg() - grey.avg()) < 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_single_pixel_is_a_picture(engine: Engine, format: str) -> None:
    """Also stretched, padded, turned and marked."""
    dot = encoded((pyvips.Image.black(1, 1, bands=3) + 200).cast("uchar").copy(interpretation="srgb"), format)
    for query in ("w=1", "w=9&h=5&fit=fill", "w=9&h=5&fit=pad", "w=7&h=3&fit=cover&g=smart&rot=90"):
        made(engine, dot, f"{query}&fm=png", mark=Mark(name="brand"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_cut_original_is_refused_and_never_shown_in_part(engine: Engine, format: str) -> None:
    """At many places, in every format, with and without shrinking on load."""
    whole = encoded(pixels(photo("chelsea")), format)
    for share in (5, 20, 35, 50, 65, 80, 95):
        cut = whole[: len(whole) * share // 100]
        for query in ("w=40", "w=400&fm=jpeg"):
            with pytest.raises(PictureBroken):
                engine.render(cut, recipe(query))


@pytest.mark.parametrize("data", [b"", b"<html></html>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 100])
def test_what_is_no_picture_is_unsupported(engine: Engine, data: bytes) -> None:
    """An error page with a picture's name among them."""
    with pytest.raises(PictureUnsupported):
        engine.render(data, recipe("w=10"))


def test_a_lying_beginning_is_a_broken_picture(engine: Engine) -> None:
    """PNG's first bytes before a JPEG, and the other way round."""
    jpeg, png = photo("chelsea"), encoded(pixels(photo("chelsea")), "png")
    for data in (png[:8] + jpeg, jpeg[:3] + png, b"GIF89a" + jpeg, b"II*\0" + png):
        with pytest.raises(PictureBroken) as caught:
            engine.render(data, recipe("w=10"))
        assert caught.value.private and caught.value.private not in caught.value.detail


def test_an_error_keeps_no_hold_of_a_mapping(engine: Engine) -> None:
    """It can be closed while the error still travels; so it can after success."""
    for data, broken in ((photo("chelsea")[:9_000], True), (photo("chelsea"), False)):
        mapping = mmap.mmap(-1, len(data))
        mapping.write(data)
        error: Exception | None = None
        try:
            engine.render(mapping, recipe("w=50"))
        except PictureBroken as caught:
            error = caught
        assert (error is not None) is broken
        mapping.close()


@pytest.mark.parametrize("target", ["gif", "webp"])
@pytest.mark.parametrize("format", ["gif", "webp"])
def test_an_animation_stays_one_through_every_operation(engine: Engine, format: str, target: str) -> None:
    """Same frames, same timing; each frame cut, turned, padded and marked by itself."""
    data = animation(format)
    for query, size in (
        ("w=30", (30, 20)),
        ("w=20&h=20&fit=cover&g=smart", (20, 20)),
        ("w=40&h=40&fit=pad&bg=00f", (40, 40)),
        ("rot=90&w=20", (20, 30)),
        ("crop=0,0,30,40&blur=1", (30, 40)),
    ):
        result = engine.render(data, recipe(f"{query}&fm={target}", mark=Mark(name="brand", opacity=1)))
        roll = pixels(result.body, n=-1)
        assert (result.format, result.width, result.height) == (target, *size)
        assert (roll.width, roll.get("page-height"), roll.height) == (size[0], size[1], 3 * size[1])
        assert roll.get("delay") == [100, 200, 300]
        assert roll.get("loop") == 3


def test_frames_do_not_bleed_into_each_other(engine: Engine) -> None:
    """Each is one colour from its first row to its last."""
    roll = pixels(engine.render(animation("gif"), recipe("w=17&h=13&fit=fill")).body, n=-1)
    for frame in range(3):
        rows = roll.crop(0, 13 * frame, 17, 13)[0]
        assert rows.max() - rows.min() <= 2


def test_only_the_first_frame_is_taken_where_motion_is_not_wanted_or_not_possible(engine: Engine) -> None:
    """anim=0, and targets that cannot move."""
    for query in ("anim=0", "fm=jpeg", "fm=avif", "fm=png"):
        picture = made(engine, animation("gif"), query)
        assert not picture.get_typeof("n-pages") or picture.get("n-pages") == 1
        assert abs(picture(30, 20)[0] - 40) < 12


def test_auto_takes_the_first_accepted_format(engine: Engine) -> None:
    """And keeps JPEG where none is."""
    assert engine.render(photo("chelsea"), recipe("w=50&fm=auto", accepts=("avif", "webp"))).format == "avif"
    assert engine.render(photo("chelsea"), recipe("w=50&fm=auto")).format == "jpeg"
    assert engine.render(animation("gif"), recipe("w=50&fm=auto", accepts=("avif", "webp"))).format == "webp"


def _credited() -> bytes:
    """A JPEG with credits in EXIF and IPTC, and with things that nobody else should know."""
    picture = pixels(photo("chelsea")).copy()
    for name, text in (
        ("exif-ifd0-Copyright", "(c) Ada (2026) (as libvips says it)"),
        ("exif-ifd0-Artist", "Ada"),
        ("exif-ifd0-Make", "SecretCam"),
        ("exif-ifd3-GPSLatitude", "52/1 30/1 0/1"),
    ):
        picture.set_type(pyvips.GValue.gstr_type, name, text)
    records = b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text
        for number, text in ((80, b"Ada Byline"), (90, b"SecretCity"), (110, b"Ada Agency"))
    )
    block = (
        b"Photoshop 3.0\x008BIM\x04\x04\x00\x00"
        + struct.pack(">I", len(records))
        + records
        + b"\0" * (len(records) % 2)
    )
    picture.set_type(pyvips.GValue.blob_type, "iptc-data", block)
    picture.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>SecretPlace</x:xmpmeta>")
    return picture.jpegsave_buffer(Q=90, profile="p3")  # type: ignore[no-any-return]


def test_metadata_is_stripped(engine: Engine) -> None:
    """All of it, by default, in every format."""
    for target in TARGETS:
        body = engine.render(_credited(), recipe(f"w=100&fm={target}")).body
        assert b"Ada" not in body and b"Secret" not in body


def test_credits_stay_on_request_and_nothing_else_does(engine: Engine) -> None:
    """EXIF's in formats that have EXIF, IPTC's in JPEG."""
    for target in ("jpeg", "png", "webp", "avif"):
        body = engine.render(_credited(), recipe(f"w=100&fm={target}&meta=copyright")).body
        picture = pixels(body)
        assert picture.get("exif-ifd0-Copyright").startswith("(c) Ada (2026)")
        assert picture.get("exif-ifd0-Artist").startswith("Ada")
        assert b"Secret" not in body and not picture.get_typeof("exif-ifd0-Make")
    assert b"Ada Byline" in engine.render(_credited(), recipe("w=100&meta=copyright")).body
    assert engine.render(photo("rocket"), recipe("w=100&meta=copyright")).width == 100
