"""KeyCDN's query syntax."""

from __future__ import annotations

import pytest

from countermark.core.errors import ParameterInvalid, ParameterUnknown
from countermark.imaging.syntax import native
from countermark.imaging.syntax.keycdn import read
from tests.pictures import pairs


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("width=300", "w=300&fit=contain"),
        ("width=300&enlarge=0", "w=300"),
        ("width=300&height=0", "w=300&fit=contain"),
        ("width=300&height=200", "w=300&h=200&fit=cover"),
        ("width=300&height=200&fit=contain&bg=255,0,0", "w=300&h=200&fit=pad&bg=f00"),
        ("width=300&height=200&fit=contain&bg=0,0,0,0.5", "w=300&h=200&fit=pad&bg=00000080"),
        ("width=300&height=200&fit=inside&enlarge=0", "w=300&h=200"),
        ("width=300&height=200&fit=fill", "w=300&h=200&fit=fill"),
        ("width=300&height=200&position=top", "w=300&h=200&fit=cover&g=n"),
        ("width=300&height=200&crop=smart", "w=300&h=200&fit=cover&g=smart"),
        ("width=300&height=200&crop=fp,0.2,0.7", "w=300&h=200&fit=cover&fp=0.2,0.7"),
        ("crop=100,80,5,6", "crop=5,6,100,80"),
        ("rotate=-90", "rot=270"),
        ("flip=1&flop=1", "flip=hv"),
        ("flop=1&format=webp&quality=70", "flip=h&fm=webp&q=70"),
        ("sharpen=15&blur=0.3", "sharpen=1.5&blur=0.3"),
        ("width=10&metadata=0", "w=10&fit=contain"),
    ],
)
def test_their_words_mean_our_operations(theirs: str, ours: str) -> None:
    """Each with its native equivalent."""
    assert read(pairs(theirs)) == native.read(pairs(ours))


@pytest.mark.parametrize(
    "query",
    [
        "trim=10", "extend=5", "gamma=2", "negate=1", "grayscale=1", "olurl=x", "progressive=1", "lossless=1",
        "rotate=45", "format=tiff", "metadata=1", "crop=10,10", "crop=fpd,1,1", "width=9&height=9&fit=outside",
        "width=9&height=9&enlarge=0",
    ],
)  # fmt: skip
def test_what_the_engine_lacks_is_refused_by_name(query: str) -> None:
    """Never ignored: the URL would show another picture than its author saw."""
    with pytest.raises(ParameterInvalid, match="not supported yet|with one side"):
        read(pairs(query))


@pytest.mark.parametrize("query", ["width=10001", "rotate=360", "rotate=x", "bg=256,0,0", "bg=1,2", "flip=2", "crop=a"])
def test_a_bad_value_is_refused(query: str) -> None:
    """With a sentence of its own."""
    with pytest.raises(ParameterInvalid):
        read(pairs(query))


def test_an_unknown_name_is_refused() -> None:
    """Also what only the native syntax knows."""
    with pytest.raises(ParameterUnknown):
        read(pairs("w=100"))
