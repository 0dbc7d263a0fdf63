"""Sizes and places."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from countermark.core.errors import PictureError
from countermark.imaging.geometry import Layout, chart, lay_out, mark_place
from countermark.imaging.operations import Mark, Operations, Region
from countermark.imaging.syntax import native
from countermark.imaging.turn import Turn, exif_turn, region_before, then, turned_size
from tests.pictures import pairs

SIDES = st.integers(1, 40_000)
BOXES = st.integers(1, 9_000)
TURNS = st.builds(Turn, st.sampled_from([0, 90, 180, 270]), st.booleans())
GRAVITIES = st.sampled_from(["center", "north", "southeast", "west", "focal", "attention"])
FRACTIONS = st.floats(0, 1)


@pytest.mark.parametrize(
    ("query", "layout"),
    [
        ("w=300", Layout(width=300, height=200)),
        ("h=100", Layout(width=150, height=100)),
        ("w=900", Layout(width=600, height=400)),
        ("w=900&fit=contain", Layout(width=900, height=600)),
        ("w=300&h=300", Layout(width=300, height=200)),
        ("w=300&dpr=1.5", Layout(width=450, height=300)),
        ("w=300&h=300&fit=fill", Layout(width=300, height=300)),
        ("w=300&h=300&fit=cover", Layout(width=450, height=300, crop=Region(75, 0, 300, 300))),
        ("w=300&h=300&fit=cover&g=e", Layout(width=450, height=300, crop=Region(150, 0, 300, 300))),
        ("w=300&h=300&fit=cover&fp=0.4,0", Layout(width=450, height=300, crop=Region(30, 0, 300, 300))),
        ("w=300&h=300&fit=cover&fp=1,1", Layout(width=450, height=300, crop=Region(150, 0, 300, 300))),
        ("w=300&h=300&fit=pad", Layout(width=300, height=200, canvas=Region(0, 50, 300, 300))),
        ("w=300&h=300&fit=pad&g=s", Layout(width=300, height=200, canvas=Region(0, 100, 300, 300))),
        ("w=1&h=1", Layout(width=1, height=1)),
        ("q=5", Layout(width=600, height=400)),
    ],
)
def test_known_layouts_of_a_600_by_400_picture(query: str, layout: Layout) -> None:
    """Worked out by hand."""
    operations = native.read(pairs(query))
    assert operations is not None
    assert lay_out(600, 400, operations) == layout


@given(SIDES, SIDES, BOXES, BOXES, st.sampled_from(["scale-down", "contain"]))
def test_contained_results_lie_in_the_box_and_keep_their_shape(w: int, h: int, bw: int, bh: int, fit: str) -> None:
    """To within one pixel; one side touches the box unless enlarging was not wanted."""
    layout = lay_out(w, h, Operations(width=bw, height=bh, fit=fit))  # type: ignore[arg-type]
    assert 1 <= layout.width <= bw and 1 <= layout.height <= bh
    assert abs(layout.width * h / w - layout.height) <= max(1, h / w) or layout.height == 1
    if (layout.width, layout.height) != (w, h):
        assert layout.width == bw or layout.height == bh
    if fit == "scale-down":
        assert layout.width <= w and layout.height <= h


@given(SIDES, SIDES, BOXES, BOXES, GRAVITIES, FRACTIONS, FRACTIONS)
def test_a_cover_is_exactly_the_box_cut_from_inside(
    w: int, h: int, bw: int, bh: int, gravity: str, x: float, y: float
) -> None:
    """Whatever the gravity, the cut never leaves the picture."""
    operations = Operations(width=bw, height=bh, fit="cover", gravity=gravity, focal=(x, y))  # type: ignore[arg-type]
    layout = lay_out(w, h, operations)
    assert layout.result == (bw, bh)
    box = layout.crop or Region(0, 0, layout.width, layout.height)
    assert box.left >= 0 and box.left + box.width <= layout.width
    assert box.top >= 0 and box.top + box.height <= layout.height
    assert layout.width == bw or layout.height == bh


@given(SIDES, SIDES, BOXES, BOXES, GRAVITIES)
def test_a_pad_is_exactly_the_box_around_the_picture(w: int, h: int, bw: int, bh: int, gravity: str) -> None:
    """The picture lies wholly inside."""
    layout = lay_out(w, h, Operations(width=bw, height=bh, fit="pad", gravity=gravity))  # type: ignore[arg-type]
    assert layout.result == (bw, bh)
    canvas = layout.canvas or Region(0, 0, bw, bh)
    assert 0 <= canvas.left <= bw - layout.width and 0 <= canvas.top <= bh - layout.height


@given(SIDES, SIDES, st.none() | BOXES, st.none() | BOXES, st.sampled_from(["scale-down", "contain", "cover", "pad"]))
def test_no_side_is_ever_zero(w: int, h: int, bw: int | None, bh: int | None, fit: str) -> None:
    """However long and thin the picture."""
    layout = lay_out(w, h, Operations(width=bw, height=bh, fit=fit, dpr=0.1))  # type: ignore[arg-type]
    assert min(layout.width, layout.height, *layout.result) >= 1


@given(TURNS, TURNS, TURNS)
def test_turns_are_a_group_of_eight(a: Turn, b: Turn, c: Turn) -> None:
    """Associative, and each has an inverse."""
    assert then(then(a, b), c) == then(a, then(b, c))
    inverse = a if a.mirror else Turn(-a.degrees % 360)
    assert then(a, inverse) == Turn()


def _stored(x: int, y: int, width: int, height: int, turn: Turn) -> tuple[int, int]:
    """Where a stored pixel goes, turned a quarter at a time: another way than the one under test."""
    for _ in range(turn.degrees // 90):
        x, y, width, height = height - 1 - y, x, height, width
    return (width - 1 - x if turn.mirror else x), y


@given(st.integers(1, 30), st.integers(1, 30), TURNS, st.data())
def test_a_region_of_the_turned_picture_is_found_in_the_stored_one(
    w: int, h: int, turn: Turn, data: st.DataObject
) -> None:
    """Its pixels are the same ones."""
    turned_w, turned_h = turned_size(w, h, turn)
    left, top = data.draw(st.integers(0, turned_w - 1)), data.draw(st.integers(0, turned_h - 1))
    width, height = data.draw(st.integers(1, turned_w - left)), data.draw(st.integers(1, turned_h - top))
    before = region_before(Region(left, top, width, height), w, h, turn)
    corners = [(before.left, before.top), (before.left + before.width - 1, before.top + before.height - 1)]
    xs, ys = zip(*(_stored(x, y, w, h, turn) for x, y in corners), strict=True)
    assert (min(xs), min(ys), max(xs), max(ys)) == (left, top, left + width - 1, top + height - 1)


def test_a_region_partly_outside_is_clipped_and_one_wholly_outside_refused() -> None:
    """With the picture's size in the sentence."""
    course = chart(100, 50, 6, Operations(region=Region(40, 90, 50, 50)))
    assert course.layout.result == (10, 10)
    with pytest.raises(PictureError, match="50x100"):
        chart(100, 50, 6, Operations(region=Region(50, 0, 5, 5)))


def test_an_unknown_exif_orientation_is_upright() -> None:
    """Files say 0 and 9 and worse."""
    assert exif_turn(0) == exif_turn(9) == exif_turn(1) == Turn()


@given(
    BOXES,
    BOXES,
    BOXES,
    BOXES,
    st.floats(0.001, 1),
    st.floats(0, 0.5),
    st.sampled_from(["center", "southeast", "north"]),
)
def test_a_mark_lies_inside_the_picture(w: int, h: int, mw: int, mh: int, scale: float, margin: float, at: str) -> None:
    """Also where it had to shrink."""
    assume(w * h > 0)
    place = mark_place(w, h, mw, mh, Mark(name="m", scale=scale, margin=margin, position=at))  # type: ignore[arg-type]
    assert place.width >= 1 and place.height >= 1
    assert place.left >= 0 and place.left + place.width <= w
    assert place.top >= 0 and place.top + place.height <= h


@pytest.mark.parametrize(
    ("query", "layout"),
    [
        ("w=900&h=300&fit=cover&enlarge=0", Layout(width=600, height=400, crop=Region(0, 50, 600, 300))),
        ("w=900&h=900&fit=cover&enlarge=0", Layout(width=600, height=400)),
        ("w=300&h=300&fit=cover&enlarge=0", Layout(width=450, height=300, crop=Region(75, 0, 300, 300))),
        ("w=900&h=600&fit=pad&enlarge=0", Layout(width=600, height=400, canvas=Region(150, 100, 900, 600))),
        ("w=300&h=300&fit=pad&enlarge=0", Layout(width=300, height=200, canvas=Region(0, 50, 300, 300))),
    ],
)
def test_what_must_not_be_enlarged_is_cut_or_padded_as_it_is(query: str, layout: Layout) -> None:
    """Cover then gives less than the box, pad a wider margin."""
    operations = native.read(pairs(query))
    assert operations is not None
    assert lay_out(600, 400, operations) == layout
