"""thumbor's and imagor's parts as the house's operations."""

from __future__ import annotations

from typing import Any

import pytest

from countermark.core.errors import CountermarkError, ParameterInvalid, ParameterUnknown
from countermark.core.target import Pair
from countermark.imaging.operations import Operations, Region, normalise
from countermark.imaging.syntax.thumbor import read_imagor, read_thumbor


def pairs(*said: str) -> tuple[Pair, ...]:
    split = [part.partition("=") for part in said]
    return tuple(Pair(name, value or name, name) for name, _, value in split)


def bare(*names: str) -> tuple[Pair, ...]:
    return tuple(Pair(f"{name}()", "", f"{name}()") for name in names)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ([], {}),
        (["size=300x200"], {"width": 300, "height": 200, "fit": "cover"}),
        (["size=300x"], {"width": 300, "fit": "contain"}),
        (["size=0x200", "fit=fit-in"], {"height": 200}),
        (["size=300x200", "fit=fit-in"], {"width": 300, "height": 200}),
        (["size=300x200", "fit=fit-in", "fill()=red"],
         {"width": 300, "height": 200, "fit": "pad", "enlarge": False, "background": "ff0000"}),
        (["size=300x200", "halign=left", "valign=top"],
         {"width": 300, "height": 200, "fit": "cover", "gravity": "northwest"}),
        (["size=-300x200", "halign=left"],
         {"width": 300, "height": 200, "fit": "cover", "gravity": "east", "flip": "h"}),
        (["size=300x-200", "valign=top"],
         {"width": 300, "height": 200, "fit": "cover", "gravity": "south", "flip": "v"}),
        (["size=300x200", "smart", "halign=left"],
         {"width": 300, "height": 200, "fit": "cover", "gravity": "attention"}),
        (["size=-x-"], {"flip": "hv"}),
        (["size=300x200", "halign=left", "rotate()=180"],
         {"width": 300, "height": 200, "fit": "cover", "gravity": "east", "rotate": 180}),
        (["crop=10x20:110x220"], {"region": Region(10, 20, 100, 200)}),
        (["quality()=70", "format()=webp"], {"quality": 70, "format": "webp"}),
        (["background_color()=0f0"], {"background": "00ff00"}),
    ],
)  # fmt: skip
def test_parts_mean_operations(said: list[str], meant: dict[str, Any]) -> None:
    """Of both servers."""
    for read in (read_thumbor, read_imagor):
        assert read(pairs(*said)) == normalise(Operations(**meant))


def test_switches_of_enlarging() -> None:
    """upscale for fit-in, no_upscale for the rest."""
    box = pairs("size=300x200")
    assert read_thumbor((*box, *bare("no_upscale"))) == Operations(width=300, height=200, fit="cover", enlarge=False)
    inside = pairs("size=300x200", "fit=fit-in")
    assert read_thumbor((*inside, *bare("upscale"))) == Operations(width=300, height=200, fit="contain")
    assert read_thumbor((*box, *bare("stretch"))) == Operations(width=300, height=200, fit="fill")
    assert read_thumbor((*pairs("size=300x"), *bare("no_upscale"))) == Operations(width=300)
    assert read_thumbor(bare("strip_exif", "strip_icc")) == Operations()


def test_the_servers_mean_different_things() -> None:
    """thumbor turns against the clock; imagor halves a lone radius, and its sharpen takes a sigma."""
    turn, blur = pairs("rotate()=90"), pairs("blur()=4")
    assert (read_thumbor(turn), read_imagor(turn)) == (Operations(rotate=270), Operations(rotate=90))
    assert (read_thumbor(blur), read_imagor(blur)) == (Operations(blur=4.0), Operations(blur=2.0))
    assert read_thumbor(pairs("blur()=4,1.5")) == read_imagor(pairs("blur()=4,1.5")) == Operations(blur=1.5)
    assert read_imagor(pairs("sharpen()=2")) == Operations(sharpen=2.0)
    with pytest.raises(ParameterInvalid, match="sharpen"):
        read_thumbor(pairs("sharpen()=2,1,true"))


@pytest.mark.parametrize(
    "said",
    [
        ["trim=trim"], ["meta=meta"], ["debug"], ["padding=1x1"], ["size=origx20"], ["fit=full-fit-in"],
        ["fit=adaptive-fit-in"],
        ["crop=0.1x0.1:0.9x0.9"], ["brightness()=10"], ["fill()=blur"], ["format()=heif"], ["rotate()=45"],
        ["rotate()=90", "size=3x3"], ["grayscale()"], ["watermark()=x"], ["focal()=1x1:2x2"],
    ],
)  # fmt: skip
def test_what_the_engine_lacks_is_refused_by_name(said: list[str]) -> None:
    """Never ignored, though thumbor ignores what it does not know."""
    for read in (read_thumbor, read_imagor):
        with pytest.raises(ParameterInvalid, match="support"):
            read(pairs(*said))


@pytest.mark.parametrize("said", [["quality()=101"], ["quality()=1", "quality()=2"], ["wave()=1"], ["crop=9x9:1x1"]])
def test_bad_parts_are_refused(said: list[str]) -> None:
    """Values out of range, filters said twice, unknown ones."""
    with pytest.raises(CountermarkError):
        read_thumbor(pairs(*said))
    with pytest.raises(ParameterUnknown):
        read_thumbor(pairs("wave()=1"))
