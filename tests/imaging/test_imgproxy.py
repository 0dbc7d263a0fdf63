"""imgproxy's options as the house's operations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import ParameterInvalid, ParameterUnknown
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax import imgproxy


def read(path: str, start: Operations | None = None) -> Operations | None:
    pairs = []
    for raw in path.split("/") if path else []:
        name, _, value = raw.partition(":")
        pairs.append(Pair(name, value, raw))
    return imgproxy.read(tuple(pairs), start)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("", {}),
        ("w:300", {"width": 300}),
        ("w:300/el:1", {"width": 300, "fit": "contain"}),
        ("rs:fit:300:200", {"width": 300, "height": 200}),
        ("rs:fill:300:200", {"width": 300, "height": 200, "fit": "cover", "enlarge": False}),
        ("rs:fill:300:200:1/g:sm", {"width": 300, "height": 200, "fit": "cover", "gravity": "attention"}),
        ("rs:fill:300:0", {"width": 300}),
        ("rs::300", {"width": 300}),
        ("s:300:200:1:1:nowe", {"width": 300, "height": 200, "fit": "pad", "gravity": "northwest"}),
        ("s:300:200::1", {"width": 300, "height": 200, "fit": "pad", "enlarge": False}),
        ("rt:force/w:30/h:20", {"width": 30, "height": 20, "fit": "fill"}),
        (
            "rs:fill:300:200:t/g:fp:0.25:0.75",
            {"width": 300, "height": 200, "fit": "cover", "gravity": "focal", "focal": (0.25, 0.75)},
        ),
        ("rs:fill:300:200:t/g:so:0:0", {"width": 300, "height": 200, "fit": "cover", "gravity": "south"}),
        ("c:100:50:nowe:10:20", {"region": Region(10, 20, 100, 50)}),
        ("dpr:2/w:100", {"width": 100, "dpr": 2.0}),
        ("ar:0/rot:270/fl:1", {"orient": False, "rotate": 270, "flip": "h"}),
        ("bg:255:0:128", {"background": "ff0080"}),
        ("bg:f00/bl:1.5/sh:2", {"background": "ff0000", "blur": 1.5, "sharpen": 2.0}),
        ("q:80/f:jpg", {"quality": 80, "format": "jpeg"}),
        ("q:0/ext:webp", {"format": "webp"}),
        ("kcr:0/sm:1/scp:1", {"metadata": "none"}),
        ("da:1/f:webp", {"animated": False, "format": "webp"}),
    ],
)
def test_options_mean_operations(path: str, meant: dict[str, Any]) -> None:
    """Sides, fits, places, colours, output; copyright notes survive unless told otherwise."""
    assert read(path) == normalise(Operations(**{"metadata": "copyright", **meant}))


def test_raw_is_the_original() -> None:
    """And nothing but the original."""
    assert read("raw:1") is None
    with pytest.raises(ParameterInvalid):
        read("raw:1/w:3")
    with pytest.raises(ParameterInvalid):
        read("raw:1", Operations(width=3))


def test_a_preset_is_overlaid() -> None:
    """What the URL does not say stays the preset's."""
    start = Operations(width=300, height=200, fit="cover", quality=50)
    assert read("q:80", start) == Operations(width=300, height=200, fit="cover", quality=80)


@pytest.mark.parametrize(
    "path",
    [
        "trim:10", "pd:10", "wm:0.5", "mb:1000", "fn:x", "msr:5", "rs:auto:1:1", "rt:fill-down", "g:obj:face", "f:best",
        "g:no:10:0", "c:100:100", "c:0:100:nowe", "scp:0", "sm:0", "rs:fill:3:3:0:1", "rt:force/w:3", "f:jxl",
    ],
)  # fmt: skip
def test_what_the_engine_lacks_is_refused_by_name(path: str) -> None:
    """Never ignored: another picture would come out."""
    with pytest.raises(ParameterInvalid, match="supported"):
        read(path)


@pytest.mark.parametrize(
    "path",
    [
        "w:-1", "w:1:2", "w:+1", "el:yes", "rot:45", "rs:fat:1:1", "g:fp:2:0", "g:up", "bg:256:0:0", "bg:zz", "q:101",
        "f:exe", "w:1/width:2", "rs:fit:1/w:2", "dpr:9", "fl:1:1:1",
    ],
)  # fmt: skip
def test_bad_values_and_repetitions_are_refused(path: str) -> None:
    """Also those that imgproxy reads as false, or overwrites by the later one."""
    with pytest.raises(ParameterInvalid):
        read(path)


def test_an_unknown_option_is_refused() -> None:
    """With the nearest known one."""
    with pytest.raises(ParameterUnknown, match="width"):
        read("widht:3")


@given(st.lists(st.sampled_from([*imgproxy._READERS, "pd", "x"]), max_size=3), st.text(":0159.abcft-", max_size=12))
def test_any_argument_is_read_or_refused(names: list[str], text: str) -> None:
    """Nothing else than the house's own errors."""
    try:
        read("/".join(f"{name}:{text}" for name in names))
    except (ParameterInvalid, ParameterUnknown):
        return
