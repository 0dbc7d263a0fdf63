"""Wildcards: right, and never slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.signing.glob import covers


@given(st.text("ab*?/", max_size=8), st.text("ab?/", max_size=12))
def test_it_means_what_a_regular_expression_would(pattern: str, text: str) -> None:
    """A star is any run, a question mark any one character."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    assert covers(pattern, text) is bool(re.fullmatch(expression, text))


@pytest.mark.parametrize(("pattern", "text", "same"), [("a?b", "a?b", True), ("a?b", "axb", False), ("*?", "x?", True)])
def test_a_question_mark_can_stand_for_itself(pattern: str, text: str, same: bool) -> None:
    """Where only the star is a wildcard."""
    assert covers(pattern, text, single=False) is same


@pytest.mark.timeout(10)
def test_stars_do_not_multiply_the_time() -> None:
    """The longest pattern of stars against the longest URL, which no backtracking matcher would finish."""
    assert not covers("*a" * 2000 + "b", "a" * 8000)
