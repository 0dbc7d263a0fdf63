"""The native query syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import ParameterInvalid, ParameterUnknown
from countermark.imaging.operations import Operations, Region, canonical_text, normalise, transform_hash
from countermark.imaging.syntax.native import read
from tests.pictures import pairs

OPERATIONS = st.builds(
    Operations,
    width=st.none() | st.integers(1, 65_535),
    height=st.none() | st.integers(1, 65_535),
    fit=st.sampled_from(["scale-down", "contain", "cover", "fill", "pad"]),
    region=st.none() | st.builds(Region, *[st.integers(0, 99_999)] * 2, *[st.integers(1, 99_999)] * 2),
    gravity=st.sampled_from(["center", "north", "southwest", "attention", "entropy", "focal"]),
    focal=st.tuples(*[st.integers(0, 10_000).map(lambda x: x / 10_000)] * 2),
    dpr=st.integers(1_000, 50_000).map(lambda x: x / 10_000),
    orient=st.booleans(),
    rotate=st.sampled_from([0, 90, 180, 270]),
    flip=st.sampled_from(["", "h", "v", "hv"]),
    background=st.sampled_from(["", "ffffff", "00ff0080"]),
    blur=st.integers(0, 1_000_000).map(lambda x: x / 10_000),
    sharpen=st.integers(0, 100_000).map(lambda x: x / 10_000),
    quality=st.none() | st.integers(1, 100),
    format=st.sampled_from(["source", "auto", "jpeg", "png", "webp", "avif", "gif"]),
    metadata=st.sampled_from(["none", "copyright"]),
    animated=st.booleans(),
)


def test_every_parameter_reaches_its_operation() -> None:
    """One query with all of them."""
    query = (
        "w=800&h=600&fit=cover&crop=1,2,300,400&fp=0.25,0.75&dpr=1.5&orient=0&rot=90&flip=h&bg=FA0"
        "&blur=1.5&sharpen=2&q=70&fm=webp&meta=copyright&anim=0"
    )
    assert read(pairs(query)) == Operations(
        width=800, height=600, fit="cover", region=Region(1, 2, 300, 400), gravity="focal", focal=(0.25, 0.75),
        dpr=1.5, orient=False, rotate=90, flip="h", background="ffaa00", blur=1.5, sharpen=2.0, quality=70,
        format="webp", metadata="copyright", animated=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("w=8&h=9", "width=8&height=9"),
        ("w=8&h=9", "h=9&w=8"),
        ("w=8&h=9&fit=inside", "w=8&h=9&fit=contain"),
        ("w=8&h=9&fit=cover&g=ne", "w=8&h=9&fit=cover&gravity=northeast"),
        ("w=8&h=9&fit=cover&g=smart", "w=8&h=9&fit=cover&g=attention"),
        ("w=8&h=9&fit=cover&fp=0.2,1", "w=8&h=9&fit=cover&fp-x=0.2&fp-y=1&g=fp"),
        ("w=8&h=9&fit=cover&fp=0.5,0.5", "w=8&h=9&fit=cover"),
        ("fm=jpg&quality=3", "format=jpeg&q=3"),
        ("bg=abc", "bg=AABBCCff"),
        ("w=8&fit=cover&g=n", "w=8&fit=contain"),
        ("fm=png&q=5", "fm=png"),
        ("w=8&dpr=1", "w=8"),
        ("blur=2&dpr=3&g=s&fit=pad", "blur=2"),
        ("rot=180&flip=hv&w=9", "w=9"),
        ("flip=v", "rot=180&flip=h"),
        ("fm=jpeg&anim=0", "fm=jpeg"),
    ],
)
def test_equal_requests_are_equal_operations(one: str, other: str) -> None:
    """So that they share a cached result and a transform hash."""
    first, second = read(pairs(one)), read(pairs(other))
    assert first is not None and second is not None
    assert first == second
    assert transform_hash(first) == transform_hash(second)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("w=0", "'w'"), ("w=-1", "1 to 65535"), ("w=1_0", "'w'"), ("w=+5", "'w'"), ("w=٣", "'w'"), ("w=", "'w'"),
        ("w=9999999", "'w'"), ("w=1.5", "'w'"), ("dpr=0", "0.1 to 5"), ("dpr=nan", "dpr"), ("dpr=1e1", "dpr"),
        ("dpr=1.00001", "four decimal"), ("fit=crop", "scale-down"), ("g=up", "northeast"), ("crop=1,2,3", "crop"),
        ("crop=0,0,0,5", "at least 1"), ("crop=-1,0,5,5", "crop"), ("fp=2,0", "0 to 1"), ("fp=0.5", "fp"),
        ("bg=red", "hexadecimal"), ("bg=12345", "hexadecimal"), ("q=0", "1 to 100"), ("q=101", "1 to 100"),
        ("fm=tiff", "avif"), ("rot=45", "270"), ("flip=x", "hv"), ("orient=yes", "0 or 1"), ("blur=101", "100"),
        ("g=fp", "focal point"), ("g=n&fp=0,0", "contradict"), ("fp=0,0&fp-x=1", "twice"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_what_would_be_right(query: str, names: str) -> None:
    """The sentence names the parameter or its range."""
    with pytest.raises(ParameterInvalid) as caught:
        read(pairs(query))
    assert names in caught.value.detail


@pytest.mark.parametrize("query", ["w=1&w=2", "w=1&width=1", "q=5&quality=6", "g=n&gravity=n"])
def test_two_spellings_of_one_parameter_are_refused(query: str) -> None:
    """Else two readers of one URL could see two pictures."""
    with pytest.raises(ParameterInvalid):
        read(pairs(query))


def test_an_unknown_parameter_is_named_with_the_nearest_known_one() -> None:
    """And however long it is, the sentence stays short."""
    with pytest.raises(ParameterUnknown, match=r"'widht'.*Did you mean 'width'"):
        read(pairs("widht=5"))
    with pytest.raises(ParameterUnknown) as caught:
        read(pairs("x" * 5_000 + "=1"))
    assert len(caught.value.detail) < 120


def test_nothing_asked_is_not_the_same_as_a_request_without_effect() -> None:
    """`meta=none` alone must strip the metadata, not pass the original through."""
    assert read(()) is None
    assert read(pairs("meta=none")) == Operations()


@given(OPERATIONS)
def test_the_canonical_text_reads_back_to_the_same_operations(operations: Operations) -> None:
    """And normalising twice changes nothing more."""
    normal = normalise(operations)
    assert normalise(normal) == normal
    assert (read(pairs(canonical_text(operations))) or Operations()) == normal


@given(st.lists(st.tuples(st.sampled_from(["w", "h", "fp", "crop", "bg", "dpr", "q", "fit", "zz"]), st.text())))
def test_any_text_is_read_or_refused_clearly(texts: list[tuple[str, str]]) -> None:
    """No other error than the two."""
    query = tuple(pairs("w=1")[0].__class__(name, value, f"{name}={value}") for name, value in texts)
    try:
        read(query)
    except (ParameterInvalid, ParameterUnknown) as error:
        assert len(error.detail) < 300
