"""imgix's, ImageKit's and Cloudinary's words as the house's operations."""

from __future__ import annotations

from typing import Any

import pytest

from countermark.core.errors import ParameterInvalid
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax import cloudinary, imagekit, imageproxy, imgix


def pairs(text: str, border: str) -> tuple[Pair, ...]:
    split = [(raw, *raw.partition(border)) for raw in text.split("&") if raw]
    return tuple(Pair(name, value, raw) for raw, name, _, value in split)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("w=300", {"width": 300, "fit": "contain"}),
        ("w=300&h=200&fit=max", {"width": 300, "height": 200}),
        ("w=300&h=200&fit=crop", {"width": 300, "height": 200, "fit": "cover"}),
        ("w=300&h=200&fit=crop&crop=top,left", {"width": 300, "height": 200, "fit": "cover", "gravity": "northwest"}),
        (
            "w=300&h=200&fit=crop&crop=left,bottom",
            {"width": 300, "height": 200, "fit": "cover", "gravity": "southwest"},
        ),
        ("w=300&h=200&fit=crop&crop=entropy", {"width": 300, "height": 200, "fit": "cover", "gravity": "entropy"}),
        (
            "w=300&h=200&fit=crop&crop=focalpoint&fp-x=0.2&fp-y=0.7",
            {"width": 300, "height": 200, "fit": "cover", "gravity": "focal", "focal": (0.2, 0.7)},
        ),
        ("w=300&h=200&fit=fill&bg=f00", {"width": 300, "height": 200, "fit": "pad", "background": "ff0000"}),
        ("w=300&h=200&fit=fillmax", {"width": 300, "height": 200, "fit": "pad", "enlarge": False}),
        ("w=300&h=200&fit=scale", {"width": 300, "height": 200, "fit": "fill"}),
        ("bg=80FF0000", {"background": "ff000080"}),
        ("auto=format,compress&q=60", {"format": "auto", "quality": 60}),
        ("fm=jpg&rect=1,2,30,40", {"format": "jpeg", "region": Region(1, 2, 30, 40)}),
        ("rot=180&flip=h", {"rotate": 180, "flip": "h"}),
        ("orient=6", {"orient": False, "rotate": 90}),
        ("blur=40&sharp=20&dpr=2&w=10", {"blur": 2.0, "sharpen": 2.0, "dpr": 2.0, "width": 10, "fit": "contain"}),
    ],
)
def test_imgix_parameters_mean_operations(query: str, meant: dict[str, Any]) -> None:
    """Sides, fits, places, colours, output."""
    assert imgix.read(pairs(query, "=")) == normalise(Operations(**meant))


def test_words_without_meaning_leave_the_original() -> None:
    """The client's name, a version."""
    assert imgix.read(pairs("ixlib=python-4.0.0", "=")) is None
    assert imagekit.read(pairs("version-2.0", "-")) is None
    assert imagekit.read(pairs("orig-true", "-")) is None


@pytest.mark.parametrize(
    "query",
    ["w=0.5", "fit=facearea", "crop=faces&w=1&h=1&fit=crop", "rot=90", "auto=enhance", "txt=a", "mark=x", "fm=json", "ar=1:1",
     "fill=blur", "rect=center,1,1,1", "auto=format&fm=png", "fit=fill&w=1", "orient=2"],
)  # fmt: skip
def test_what_the_engine_lacks_of_imgix_is_refused_by_name(query: str) -> None:
    """Never ignored."""
    with pytest.raises(ParameterInvalid, match="supported"):
        imgix.read(pairs(query, "="))


@pytest.mark.parametrize(
    ("steps", "meant"),
    [
        ("w-300", {"width": 300, "fit": "contain"}),
        ("w-300&h-200", {"width": 300, "height": 200, "fit": "cover"}),
        ("w-300&h-200&fo-auto", {"width": 300, "height": 200, "fit": "cover", "gravity": "attention"}),
        (
            "w-300&h-200&fo-top_left&fl-h",
            {"width": 300, "height": 200, "fit": "cover", "gravity": "northeast", "flip": "h"},
        ),
        ("w-300&h-200&c-at_max", {"width": 300, "height": 200}),
        ("w-300&h-200&c-force", {"width": 300, "height": 200, "fit": "fill"}),
        ("w-300&h-200&cm-pad_resize&bg-F3F3F3", {"width": 300, "height": 200, "fit": "pad", "background": "f3f3f3"}),
        ("w-30&h-20&x-1&y-2&cm-extract", {"region": Region(1, 2, 30, 20)}),
        ("q-80&f-webp&bl-5", {"quality": 80, "format": "webp", "blur": 5}),
        ("rt-90", {"rotate": 90}),
        ("f-auto&bg-00000050", {"format": "auto", "background": "00000080"}),
    ],
)
def test_imagekit_steps_mean_operations(steps: str, meant: dict[str, Any]) -> None:
    """Sides, strategies, focus, output."""
    assert imagekit.read(pairs(steps, "-")) == normalise(Operations(**meant))


@pytest.mark.parametrize(
    "steps",
    ["w-0.5", "w-auto", "fo-face", "c-at_least&w-1&h-1", "cm-pad_extract&w-1&h-1", "l-image", "rt-90&w-3", "ar-4-3",
     "cm-extract&w-1&h-1", "x-1&w-3", "lo-true", "r-20"],
)  # fmt: skip
def test_what_the_engine_lacks_of_imagekit_is_refused_by_name(steps: str) -> None:
    """Never ignored."""
    with pytest.raises(ParameterInvalid, match="supported"):
        imagekit.read(pairs(steps, "-"))


def steps(text: str) -> tuple[Pair, ...]:
    return pairs(text.replace(",", "&").replace("/", "&_&"), "_")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("w_300", {"width": 300, "fit": "contain"}),
        ("w_300,h_200", {"width": 300, "height": 200, "fit": "fill"}),
        ("c_fill,g_auto,h_200,w_300", {"width": 300, "height": 200, "fit": "cover", "gravity": "attention"}),
        ("c_lfill,h_200,w_300", {"width": 300, "height": 200, "fit": "cover", "enlarge": False}),
        ("c_limit,w_300", {"width": 300}),
        ("b_rgb:ff0000,c_pad,h_200,w_300", {"width": 300, "height": 200, "fit": "pad", "background": "ff0000"}),
        ("c_crop,h_20,w_30,x_1,y_2", {"region": Region(1, 2, 30, 20)}),
        ("c_fill,h_200,w_300/f_auto,q_auto", {"width": 300, "height": 200, "fit": "cover", "format": "auto"}),
        ("a_90/c_fill,h_200,w_300", {"width": 300, "height": 200, "fit": "cover", "rotate": 90}),
        (
            "a_180,c_fill,g_north,h_200,w_300",
            {"width": 300, "height": 200, "fit": "cover", "rotate": 180, "gravity": "south"},
        ),
        ("a_hflip", {"flip": "h"}),
        ("a_ignore,e_blur:200,q_80", {"orient": False, "blur": 10.0, "quality": 80}),
        ("fl_keep_attribution,dpr_2.0,w_10", {"metadata": "copyright", "dpr": 2.0, "width": 10, "fit": "contain"}),
    ],
)
def test_cloudinary_steps_mean_operations(text: str, meant: dict[str, Any]) -> None:
    """Sides, strategies, chains, turns, output."""
    assert cloudinary.read(steps(text)) == normalise(Operations(**meant))


@pytest.mark.parametrize(
    "text",
    ["w_0.5", "w_auto", "c_thumb,w_3", "g_face", "c_crop,w_3,h_3", "a_45", "a_90,w_3", "e_sepia", "bo_1px_solid_red", "l_text",
     "r_max", "f_auto/w_1,x_2", "dpr_auto", "b_auto", "fl_lossy", "o_50"],
)  # fmt: skip
def test_what_the_engine_lacks_of_cloudinary_is_refused_by_name(text: str) -> None:
    """Never ignored."""
    with pytest.raises(ParameterInvalid, match="supported"):
        cloudinary.read(steps(text))


def options(*said: str) -> tuple[Pair, ...]:
    return tuple(Pair(name, value, text) for text in said for name, _, value in [text.partition("=")])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ([], {}),
        (["size=300x200"], {"width": 300, "height": 200, "fit": "cover", "enlarge": False}),
        (["size=300x200", "scaleUp", "sc"], {"width": 300, "height": 200, "fit": "cover", "gravity": "attention"}),
        (["size=300x200", "fit"], {"width": 300, "height": 200}),
        (["size=300x0", "scaleUp"], {"width": 300, "fit": "contain"}),
        (["r=90"], {"rotate": 270}),
        (["fv", "fh", "q=80", "format=png"], {"flip": "hv", "quality": 80, "format": "png"}),
        (["cx=1", "cw=30", "ch=20"], {"region": Region(1, 0, 30, 20)}),
    ],
)
def test_imageproxy_options_mean_operations(said: list[str], meant: dict[str, Any]) -> None:
    """Sides, cuts, turns, output."""
    assert imageproxy.read(options(*said)) == normalise(Operations(**meant))


@pytest.mark.parametrize("said", ["size=0.5x0", "trim", "format=tiff", "cx=-5", "cx=5", "cw=0.5"])
def test_what_the_engine_lacks_of_imageproxy_is_refused_by_name(said: str) -> None:
    """Never ignored."""
    with pytest.raises(ParameterInvalid, match="supported"):
        imageproxy.read(options(said))
