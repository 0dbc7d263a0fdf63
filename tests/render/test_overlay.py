"""Watermarks."""

from __future__ import annotations

import pytest
import pyvips

from countermark.core.errors import ConfigurationInvalid
from countermark.imaging.operations import Mark
from countermark.render.engine import Engine
from countermark.render.overlay import Overlays
from tests.pictures import encoded, logo, photo, pixels, recipe

GREY = (pyvips.Image.black(400, 200, bands=3) + 100).cast("uchar").copy(interpretation="srgb").copy_memory()


def marked(engine: Engine, mark: Mark, picture: pyvips.Image = GREY, query: str = "w=400") -> pyvips.Image:
    """The picture as PNG with the mark on it."""
    return pixels(engine.render(encoded(picture, "png"), recipe(f"{query}&fm=png", mark=mark)).body)


@pytest.mark.parametrize(
    ("position", "inside", "outside"),
    [
        ("southeast", (352, 172), (20, 20)),
        ("northwest", (48, 28), (380, 180)),
        ("center", (200, 100), (20, 20)),
        ("north", (200, 28), (200, 180)),
    ],
)
def test_the_mark_stands_where_the_policy_says(
    engine: Engine, position: str, inside: tuple[int, int], outside: tuple[int, int]
) -> None:
    """A fifth of the width, 8 pixels from the edges; nothing changes elsewhere."""
    picture = marked(engine, Mark(name="brand", position=position, opacity=1))  # type: ignore[arg-type]
    assert picture(*inside) == [255, 0, 0]
    assert picture(*outside) == [100, 100, 100]


def test_opacity_mixes_mark_and_picture(engine: Engine) -> None:
    """At a half, half of each."""
    red, green, _ = marked(engine, Mark(name="brand", position="center", opacity=0.5))(200, 100)
    assert abs(red - 177) <= 2 and abs(green - 50) <= 2


def test_a_tiled_mark_covers_the_whole_picture(engine: Engine) -> None:
    """Every quarter of it shows some red, and between the tiles the picture is untouched."""
    picture = marked(engine, Mark(name="brand", tile=True, scale=0.1, opacity=1))
    for left, top in ((0, 0), (300, 0), (0, 150), (300, 150)):
        assert picture.crop(left, top, 100, 50)[0].max() == 255
    assert picture[0].min() == 100


def test_alpha_stays_alpha_under_a_mark(engine: Engine) -> None:
    """The mark is visible on what was transparent; the rest stays transparent."""
    clear = GREY.bandjoin(0).copy(interpretation="srgb")
    picture = marked(engine, Mark(name="brand", position="center", opacity=1), clear)
    assert picture(200, 100) == [255, 0, 0, 255]
    assert picture(20, 20)[3] == 0


def test_a_coloured_mark_colours_a_grey_picture(engine: Engine) -> None:
    """It is brought to sRGB for that."""
    picture = marked(engine, Mark(name="brand", position="center", opacity=1), GREY.colourspace("b-w"))
    assert picture(200, 100)[:3] == [255, 0, 0]


def test_every_frame_of_an_animation_is_marked(engine: Engine) -> None:
    """In the same place."""
    roll = pyvips.Image.arrayjoin([GREY, GREY, GREY.linear(1.2, 0).cast("uchar")], across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 200)
    mark = Mark(name="brand", position="center", opacity=1)
    made = pixels(engine.render(roll.webpsave_buffer(lossless=True), recipe("w=400", mark=mark)).body, n=-1)
    for frame in range(made.get("n-pages")):
        red, green, _ = made(200, 200 * frame + 100)[:3]
        assert red > 200 and green < 60


def test_a_mark_is_prepared_once_for_each_size(engine: Engine) -> None:
    """The kept one gives the same bytes, and few are kept."""
    overlays = Overlays({"brand": logo()})
    first = overlays.stamp(GREY, Mark(name="brand")).write_to_memory()
    assert overlays.stamp(GREY, Mark(name="brand")).write_to_memory() == first
    for width in range(20, 60):
        overlays.stamp(GREY.crop(0, 0, width * 5, 100), Mark(name="brand"))
    assert len(overlays.kept) <= 16


@pytest.mark.parametrize("data", [b"", b"<svg/>", photo("chelsea")[:5_000]])
def test_a_watermark_that_cannot_be_read_is_a_fault_of_the_settings(data: bytes) -> None:
    """Found when the engine starts, with the setting's name."""
    with pytest.raises(ConfigurationInvalid, match=r"watermarks\.brand\.image"):
        Engine({"brand": data})
