"""Sizes and durations, as they are written and as they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.settings.units import format_duration, format_size, parse_duration, parse_life, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("64KiB", 65_536), ("64 kib", 65_536), ("1.5MB", 1_500_000), ("2TiB", 2 * 2**40)],
)
def test_a_size_is_read(text: str, size: int) -> None:
    """Binary and decimal units, in any case."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30", 30), ("0.5", 0.5), ("500ms", 0.5), ("10s", 10), ("5m", 300), ("12h", 43_200), ("7d", 604_800)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """Seconds without a unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1 0", "1e9", "nan", "inf", "10 parsecs", "1,5", "٣", "9" * 30, "0x10"])
def test_anything_else_is_refused(text: str) -> None:
    """Also what Python's own number readers would take."""
    for parse in (parse_size, parse_duration):
        with pytest.raises(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("12h", 43_200), ("7d", 604_800)]
)
def test_a_life_is_read(text: str, seconds: int) -> None:
    """A duration of whole seconds."""
    assert parse_life(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0d", "500ms", "1.5", "d", "-1d", "1w", "٧d", "9" * 19 + "s"])
def test_a_life_is_at_least_a_second_and_whole(text: str) -> None:
    """What ends at once or between two seconds is no life of a URL."""
    with pytest.raises(ValueError):
        parse_life(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_formatted_size_reads_as_itself(size: int) -> None:
    """The spelling is exact."""
    assert parse_size(format_size(size)) == size


@given(st.integers(min_value=0, max_value=10**12))
def test_a_formatted_duration_reads_as_itself(milliseconds: int) -> None:
    """The spelling is exact down to milliseconds."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000
