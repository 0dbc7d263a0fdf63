"""What libvips' C functions make of pixels in memory is what pyvips makes of them."""

from __future__ import annotations

import os
from random import Random

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, defstruct, structs

from countermark.imaging.geometry import chart
from countermark.imaging.operations import Mark, Operations, Recipe, Region
from countermark.render import engine as engine_module
from countermark.render.engine import Engine
from countermark.render.frame import _unsettled, only_reduces
from countermark.render.pixels import GAP, Pixels
from tests.pictures import photo, pixels, recipe

COLOUR = pixels(photo("coffee"))
PLAIN = COLOUR.jpegsave_buffer(keep="none")
GREY = COLOUR.colourspace("b-w").jpegsave_buffer(keep="none")

REDUCTIONS = (
    "w=99",
    "w=100&h=33&fit=fill",
    "w=64&h=64&fit=cover",
    "w=40&h=70&fit=cover&gravity=south",
    "h=1",
    "w=271&q=40",
)
MORE = (
    "w=100&rot=90", "w=100&flip=h", "w=100&h=100&fit=pad", "w=100&blur=2", "w=100&sharp=1", "crop=10,10,100,100&w=50",
    "w=60&h=60&fit=cover&gravity=attention", "w=700&fit=contain", "w=100&fm=png", "w=100&q=93",
)  # fmt: skip


def tagged(profile: str, orientation: int) -> bytes:
    """With a colour profile that libvips has built in, and an orientation."""
    picture = COLOUR.copy()
    picture.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    data: bytes = picture.icc_transform(profile, input_profile="srgb").jpegsave_buffer()
    return data


ORIGINALS = {
    "plain": PLAIN,
    "grey": GREY,
    "sRGB": tagged("srgb", 1),
    "P3": tagged("p3", 1),
    "turned": tagged("srgb", 6),
    "progressive": COLOUR.jpegsave_buffer(keep="none", interlace=True),
}


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("query", [*REDUCTIONS, *MORE, "w=100&meta=copyright"])
def test_a_rendition_is_the_same_by_either_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str, query: str
) -> None:
    """The short way, where it is taken, and the one for all operations."""
    asked = recipe(query)
    made = engine.render(ORIGINALS[name], asked)
    monkeypatch.setattr(engine_module, "only_reduces", lambda *_: False)
    assert made == engine.render(ORIGINALS[name], asked)


@pytest.mark.parametrize(("name", "short"), [("plain", 1), ("grey", 1), ("sRGB", 1), ("P3", 0), ("turned", 0)])
def test_the_short_way_is_for_pictures_in_srgb(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str, short: int
) -> None:
    """One in other colours is converted, one that lies on its side is turned."""
    ways: list[Region] = []
    original = Pixels.reduced

    def reduced(self: Pixels, width: int, height: int, box: Region) -> Pixels:
        ways.append(box)
        return original(self, width, height, box)

    monkeypatch.setattr(Pixels, "reduced", reduced)
    engine.render(ORIGINALS[name], recipe("w=99"))
    assert len(ways) == short


@pytest.mark.parametrize("query", [*REDUCTIONS, *MORE])
def test_what_only_reduces_is_known(query: str) -> None:
    """Everything else goes the way that knows all operations."""
    whole = Pixels(data=bytearray(), stored_width=COLOUR.width, width=COLOUR.width, height=COLOUR.height, bands=3)
    asked = recipe(query)
    course = chart(COLOUR.width, COLOUR.height, 1, asked.operations)
    beside_the_pixels = query in ("w=100&fm=png", "w=100&q=93")
    short = query in REDUCTIONS or beside_the_pixels
    assert only_reduces(whole, course, asked) is short
    assert not only_reduces(whole, course, structs.replace(asked, mark=Mark(name="brand")))


@pytest.mark.parametrize("kind", [Recipe, Operations])
def test_what_is_not_known_to_be_settled_takes_the_long_way(kind: type[Struct]) -> None:
    """So an operation that is added later is never left out."""
    known = {"mark"} if kind is Recipe else {"region", "rotate", "flip", "blur", "sharpen"}
    assert {name for name, _ in _unsettled(kind)} == known
    later = defstruct("Later", [("shine", float, 0.0)], bases=(kind,), frozen=True, kw_only=True)
    assert ("shine", 0.0) in _unsettled(later)


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Pixels, int, int, Region]:
    """Random pixels, some with columns beside the picture, a size below theirs, and a box in that."""
    width, height, bands = draw(st.integers(1, 300)), draw(st.integers(1, 300)), draw(st.sampled_from((1, 3)))
    stored = width + draw(st.integers(0, 2))
    data = bytearray(Random(draw(st.integers(0, 9))).randbytes(stored * (height + 1) * bands))
    whole = Pixels(data=data, stored_width=stored, width=width, height=height, bands=bands)
    to_width, to_height = draw(st.integers(1, width)), draw(st.integers(1, height))
    left, top = draw(st.integers(0, to_width - 1)), draw(st.integers(0, to_height - 1))
    box = Region(left, top, draw(st.integers(1, to_width - left)), draw(st.integers(1, to_height - top)))
    return whole, to_width, to_height, box


@given(reductions())
@settings(max_examples=60)
def test_they_are_the_pixels_of_pyvips(case: tuple[Pixels, int, int, Region]) -> None:
    """At any size, also of one row or column, and wherever it is cut."""
    whole, width, height, box = case
    made = whole.reduced(width, height, box)
    theirs = whole.picture().reduce(whole.width / width, whole.height / height, gap=GAP)
    assert (made.stored_width, made.width, made.height, made.bands) == (box.width, box.width, box.height, whole.bands)
    assert bytes(made.data) == theirs.crop(box.left, box.top, box.width, box.height).write_to_memory()


@pytest.mark.parametrize(
    ("short", "box"), [(1, Region(0, 0, 10, 10)), (0, Region(5, 5, 10, 10)), (0, Region(-1, 0, 5, 5))]
)
def test_a_mistake_is_an_error_and_nothing_worse(short: int, box: Region) -> None:
    """Too few bytes for the size, or a box that leaves the picture: nothing is read from beside them."""
    whole = Pixels(data=bytearray(30 * 20 * 3 - short), stored_width=30, width=30, height=20, bands=3)
    with pytest.raises(pyvips.Error):
        whole.reduced(10, 10, box)


def test_nothing_is_left_behind() -> None:
    """Each object that libvips made is let go of, also after an error: the process does not grow."""
    whole = Pixels(data=bytearray(301 * 300 * 3), stored_width=301, width=300, height=300, bands=3)

    def work(times: int) -> None:
        for _ in range(times):
            whole.reduced(150, 150, Region(0, 0, 150, 150))
            with pytest.raises(pyvips.Error):
                whole.reduced(150, 150, Region(100, 100, 100, 100))

    work(30)
    before = _resident()
    work(150)
    assert _resident() - before < 4 * 2**20


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
