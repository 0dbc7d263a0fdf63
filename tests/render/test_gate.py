"""The cost gate."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from countermark.core.errors import PictureError, PictureTooLarge
from countermark.imaging.geometry import chart
from countermark.imaging.operations import Limits
from countermark.imaging.output import output_format
from countermark.render.engine import Engine
from countermark.render.gate import Header, predict
from tests.bombs import bombs, claim_avif_size, jpeg_header_bomb, many_scans, png_bomb
from tests.pictures import animation, encoded, photo, pixels, recipe

MEGA = 2**20
OPEN = Limits(pixels=2**40, side=2**20, frames=2**20)


@pytest.mark.parametrize("build", [pytest.param(build, id=name) for name, build in bombs()])
def test_a_bomb_is_refused_from_its_header(engine: Engine, build: Callable[[], bytes]) -> None:
    """With the figure that was too high in the sentence."""
    with pytest.raises(PictureTooLarge, match="at most"):
        engine.render(build(), recipe("w=800"))


def test_a_jpeg_of_endless_scans_is_refused_from_its_markers(engine: Engine) -> None:
    """Each scan is a walk over all coefficients; an honest progressive JPEG with its ten or so passes."""
    honest = pixels(photo("chelsea")).jpegsave_buffer(interlace=True)
    assert engine.render(honest, recipe("w=100")).width == 100
    with pytest.raises(PictureTooLarge, match="scans; at most"):
        engine.render(many_scans(honest, 3_000), recipe("w=100"))


def test_an_avif_that_claims_a_huge_size_is_refused(engine: Engine) -> None:
    """By the gate, or by its decoder as broken; never decoded."""
    small = encoded(pixels(photo("chelsea")), "avif")
    with pytest.raises(PictureError):
        engine.render(claim_avif_size(small, 16_000, 16_000), recipe("w=800"))


@pytest.mark.parametrize(
    "bomb",
    [
        jpeg_header_bomb(30_000, 30_000, progressive=True),
        png_bomb(30_000, 30_000, interlaced=True),
    ],
    ids=["progressive-jpeg", "interlaced-png"],
)
def test_predicted_memory_refuses_what_pixel_limits_let_pass(engine: Engine, bomb: bytes) -> None:
    """Both cost gigabytes."""
    with pytest.raises(PictureTooLarge, match="bytes of memory"):
        engine.render(bomb, recipe("w=800", limits=OPEN))


def test_each_limit_has_its_own_sentence(engine: Engine) -> None:
    """chelsea has 451x300 pixels."""
    data = photo("chelsea")
    for limits, words in (
        (Limits(pixels=135_299), "135,300 pixels; at most 135,299"),
        (Limits(side=450), "longer side has 451"),
        (Limits(output_side=450), "result's longer side would have 451"),
        (Limits(memory=1000), "bytes of memory"),
    ):
        with pytest.raises(PictureTooLarge, match=words):
            engine.render(data, recipe("q=50", limits=limits))
    assert engine.render(data, recipe("q=50", limits=Limits(pixels=135_300, side=451, output_side=451))).width == 451


def test_frames_count_only_where_they_are_made(engine: Engine) -> None:
    """The first frame of a long animation costs no more than a picture."""
    data = animation("gif", frames=5)
    limits = Limits(frames=4)
    with pytest.raises(PictureTooLarge, match="5 frames; at most 4"):
        engine.render(data, recipe("w=20", limits=limits))
    assert engine.render(data, recipe("w=20&anim=0", limits=limits)).format == "gif"
    assert engine.render(data, recipe("w=20&fm=jpeg", limits=limits)).format == "jpeg"


def _predicted(format: str, pixels_in: int, query: str = "w=800", **fields: object) -> float:
    side = round(pixels_in**0.5)
    given = {"frames": 1, "bands": 3, "depth": 1, "alpha": False, "whole": False, "orientation": 1} | fields
    header = Header(format=format, width=side, height=side, **given)  # type: ignore[arg-type]
    wanted = recipe(query)
    course = chart(side, side, 1, wanted.operations)
    target = output_format(header.format, alpha=False, frames=header.frames, side=800, recipe=wanted)
    return predict(header, wanted, course, target) / MEGA


@pytest.mark.parametrize(
    ("format", "megapixels", "fields", "measured"),
    [
        ("jpeg", 900, {"whole": True, "samples": 1.5}, 2_630),
        ("jpeg", 4290.25, {"whole": True, "samples": 1.5}, 12_345),
        ("jpeg", 24, {"whole": True, "samples": 3.0}, 160),
        ("png", 900, {"whole": True, "bands": 4}, 3_638),
        ("avif", 64, {}, 957),
        ("avif", 256, {}, 3_682),
        ("avif", 12, {"depth": 2}, 234),
        ("webp", 0.8, {"frames": 60}, 256),
    ],
)
def test_the_prediction_is_within_a_quarter_of_what_was_measured(
    format: str, megapixels: float, fields: dict[str, object], measured: float
) -> None:
    """Peak of a child above its idle state, in MB, thumbnail to 800 pixels (500 for the animation)."""
    query = "w=500" if "frames" in fields else "w=800&fm=jpeg"
    assert 0.75 < _predicted(format, round(megapixels * 1e6), query, **fields) * 1.048576 / measured < 1.25


def test_a_baseline_jpeg_passes_through_a_few_rows() -> None:
    """A hundred megapixels of it cost less than ten of a progressive one."""
    assert _predicted("jpeg", 100_000_000) < _predicted("jpeg", 10_000_000, whole=True, samples=3.0)


_PREPARED = """
import pyvips
from countermark.render.engine import Engine
from countermark.render.gate import prepare_libvips
from tests.pictures import animation, encoded, photo, pixels, recipe
chelsea = pixels(photo("chelsea"))
made = {f: encoded(chelsea, f) for f in ("jpeg", "png", "webp", "avif", "gif", "tiff")}
wide = chelsea.resize(14).pngsave_buffer(compression=1, interlace=True)
prepare_libvips()
for attempt in (
    lambda: pyvips.Image.svgload_buffer(b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
    lambda: pyvips.Image.csvload_source(pyvips.Source.new_from_memory(b"1,2")),
    lambda: pyvips.Image.matrixload_source(pyvips.Source.new_from_memory(b"1 1\\n1\\n")),
    lambda: pyvips.Image.new_from_buffer(made["jpeg"], ""),
    lambda: pyvips.Image.black(9, 9).write_to_file("x.v"),
    lambda: pyvips.Image.black(9_000_000, 1),
):
    try:
        attempt()
    except pyvips.Error:
        continue
    raise SystemExit("open")
engine = Engine({})
for data in made.values():
    for target in ("jpeg", "png", "webp", "avif", "gif"):
        assert engine.render(data, recipe(f"w=40&fm={target}")).format == target
assert engine.render(wide, recipe("w=40")).width == 40
assert pyvips.concurrency_get() == 1 and pyvips.cache_get_max() == 0
"""


def test_a_prepared_libvips_opens_the_named_formats_and_nothing_else() -> None:
    """In a process of its own, because it cannot be undone. The large interlaced PNG must not ask for a file."""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", _PREPARED], timeout=50, env=environment, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
