"""Conditional and range requests, by the clauses of RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import RangeNotSatisfiable
from countermark.delivery.conditions import matches, not_modified, wanted_range
from countermark.ports import ByteRange

TAG = '"abc"'


@pytest.mark.parametrize("header", ['"abc"', 'W/"abc"', '"x", "abc"', "*", ' "abc" '])
def test_a_matching_tag_is_found_by_weak_comparison(header: str) -> None:
    """RFC 9110 §13.1.2: If-None-Match compares weakly, over a list, and * matches anything."""
    assert matches(header, TAG)


@pytest.mark.parametrize("header", ['"abcd"', "abc", "", '"x", "y"'])
def test_another_tag_does_not_match(header: str) -> None:
    """A tag without its quotes is another tag."""
    assert not matches(header, TAG)


def test_if_none_match_makes_the_date_void() -> None:
    """RFC 9110 §13.1.3: If-Modified-Since is ignored where If-None-Match is present."""
    headers = {"if-none-match": '"other"', "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT"}
    assert not not_modified(headers, TAG, 0.0)


@pytest.mark.parametrize(
    ("since", "expected"),
    [("Tue, 14 Nov 2023 22:13:20 GMT", True), ("Tue, 14 Nov 2023 22:13:19 GMT", False), ("yesterday", False)],
)
def test_a_date_is_compared_in_whole_seconds(since: str, expected: bool) -> None:
    """HTTP dates have no fractions, so a file changed within that second still matches."""
    assert not_modified({"if-modified-since": since}, TAG, 1_700_000_000.7) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-99", ByteRange(0, 99)),
        ("bytes=900-", ByteRange(900, 999)),
        ("bytes=-10", ByteRange(990, 999)),
        ("bytes=-5000", ByteRange(0, 999)),
        ("bytes=0-99999", ByteRange(0, 999)),
        ("Bytes=5-5", ByteRange(5, 5)),
        ("bytes=5-2", None),
        ("bytes=0-1,5-9", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=--1", None),
    ],
)
def test_a_range_is_read_or_ignored(text: str, expected: ByteRange | None) -> None:
    """RFC 9110 §14.1: one satisfiable range is honoured, whatever is malformed or multiple is ignored."""
    assert wanted_range({"range": text}, TAG, 1000) == expected


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_outside_is_refused(text: str) -> None:
    """RFC 9110 §15.5.17, with the size for Content-Range."""
    with pytest.raises(RangeNotSatisfiable) as caught:
        wanted_range({"range": text}, TAG, 1000)
    assert caught.value.size == 1000


def test_if_range_with_another_tag_sends_everything() -> None:
    """RFC 9110 §13.1.5: the client has a part of another version."""
    assert wanted_range({"range": "bytes=0-9", "if-range": '"old"'}, TAG, 1000) is None
    assert wanted_range({"range": "bytes=0-9", "if-range": TAG}, TAG, 1000) == ByteRange(0, 9)


@given(st.text(max_size=40), st.integers(0, 10_000))
def test_any_range_text_gives_a_part_of_the_picture_or_nothing(text: str, size: int) -> None:
    """No text makes a range that leaves the representation."""
    try:
        part = wanted_range({"range": "bytes=" + text}, TAG, size)
    except RangeNotSatisfiable:
        return
    assert part is None or 0 <= part.first <= part.last < size
