"""Formats by Accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.imaging.negotiate import accepted
from countermark.imaging.output import output_format
from tests.pictures import recipe

ORDER = ("avif", "webp")


@pytest.mark.parametrize(
    ("accept", "formats"),
    [
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", ("avif", "webp")),
        ("image/webp,image/avif;q=0.1", ("avif", "webp")),
        ("IMAGE/WebP ; q=1.0", ("webp",)),
        ("image/*,*/*", ()),
        ("", ()),
        ("image/avif;q=0, image/webp;q=0.000", ()),
        ("image/avif, image/avif;q=0", ()),
        ("image/avif;q=nan,image/webp;q=1e9", ()),
        ("image/avif;x=1;q=0.5", ("avif",)),
        ("image/avifx", ()),
        ("image/avif," + "x" * 1024, ()),
    ],
)
def test_only_what_is_named_with_weight_counts(accept: str, formats: tuple[str, ...]) -> None:
    """In the server's order, whatever the client's weights."""
    assert accepted(accept, ORDER) == formats


@given(st.text())
def test_any_header_falls_into_one_of_four_buckets(accept: str) -> None:
    """So that a shared cache holds four variants at most."""
    assert accepted(accept, ORDER) in ((), ("avif",), ("webp",), ("avif", "webp"))


@pytest.mark.parametrize(
    ("query", "source", "alpha", "frames", "accepts", "target"),
    [
        ("fm=auto", "jpeg", False, 1, ("avif", "webp"), "avif"),
        ("fm=auto", "jpeg", False, 1, (), "jpeg"),
        ("fm=auto", "webp", True, 1, (), "png"),
        ("fm=auto", "webp", False, 1, (), "jpeg"),
        ("fm=auto", "gif", True, 9, ("avif",), "gif"),
        ("fm=auto", "gif", True, 9, ("avif", "webp"), "webp"),
        ("fm=auto&anim=0", "gif", True, 9, ("avif", "webp"), "avif"),
        ("fm=auto", "gif", False, 1, (), "png"),
        ("", "tiff", True, 1, (), "png"),
        ("", "tiff", False, 1, (), "jpeg"),
        ("", "gif", True, 9, (), "gif"),
        ("fm=png", "jpeg", False, 1, ("avif",), "png"),
    ],
)
def test_the_format_follows_request_and_header(
    query: str, source: str, alpha: bool, frames: int, accepts: tuple[str, ...], target: str
) -> None:
    """Alpha and motion are kept where a format can hold them."""
    made = recipe(query, accepts=accepts)
    assert output_format(source, alpha=alpha, frames=frames, side=100, recipe=made) == target  # type: ignore[arg-type]


def test_auto_passes_over_a_format_that_is_too_small() -> None:
    """WebP ends at 16,383 pixels a side."""
    assert (
        output_format("png", alpha=False, frames=1, side=17_000, recipe=recipe("fm=auto", accepts=("webp",))) == "png"
    )
