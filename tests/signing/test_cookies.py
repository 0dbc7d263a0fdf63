"""Cookies: one of a name, in the characters that a cookie has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import ParameterInvalid
from countermark.signing.cookies import MAX_VALUE, cookie_names, read_cookie


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("a=1", "1"),
        ("b=2; a=1", "1"),
        ("b=2;a=1;c", "1"),
        ("a=", ""),
        ("a=x=y~*!", "x=y~*!"),
        ("A=1", None),
        ("aa=1; xa=2", None),
        ("a", None),
        ("", None),
    ],
)
def test_a_cookie_is_found_by_its_exact_name(field: str, value: str | None) -> None:
    """Names are case-sensitive; a value keeps every character."""
    assert read_cookie({"cookie": field}, "a") == value
    assert read_cookie({}, "a") is None


@pytest.mark.parametrize("field", ["a=1; a=2", "a=1; a=1", "b=1; a=1;a="])
def test_two_cookies_of_a_name_are_refused(field: str) -> None:
    """Which of them counts is what readers disagree on."""
    with pytest.raises(ParameterInvalid):
        read_cookie({"cookie": field}, "a")


@pytest.mark.parametrize("value", ['"1"', "1 2", "1,2", "1\\2", "\u00e9", "\x00", "x" * (MAX_VALUE + 1)])
def test_a_value_has_a_cookies_characters(value: str) -> None:
    """No quotes, blanks, commas, backslashes, control characters, nor anything too long."""
    with pytest.raises(ParameterInvalid):
        read_cookie({"cookie": f"a={value}"}, "a")


@given(st.text(max_size=80))
def test_any_field_is_read_or_refused(field: str) -> None:
    """And a cookie that is read was named."""
    try:
        value = read_cookie({"cookie": field}, "a")
    except ParameterInvalid:
        return
    assert (value is not None) == ("a" in cookie_names({"cookie": field}))
