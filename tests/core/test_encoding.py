"""One spelling for each value."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64url, read_base64url, read_hex


@given(st.binary(max_size=70))
def test_what_is_written_is_read(data: bytes) -> None:
    """Both encodings return the bytes that they were given."""
    assert read_base64url(base64url(data)) == data
    assert read_hex(data.hex()) == data


@given(st.text(alphabet="AQgwx-_+/= \n", max_size=24))
def test_every_other_spelling_of_base64url_is_refused(text: str) -> None:
    """Padding, the other alphabet, white space, spare bits: all read by the lax decoder, none by this one."""
    data = read_base64url(text)
    if data is not None:
        assert base64url(data) == text


def test_the_four_tails_of_a_mac_are_one() -> None:
    """43 characters have four spellings of the same 32 bytes; only one is read."""
    tails = ["A" * 42 + tail for tail in "ABCD"]
    assert {b64decode(tail + "=") for tail in tails} == {bytes(32)}
    assert [read_base64url(tail) is not None for tail in tails] == [True, False, False, False]


@pytest.mark.parametrize("text", ["AA", "0A", "a", "0x00", "00 00", " 00", "٠٠", "é"])
def test_only_lower_case_hexadecimal_is_read(text: str) -> None:
    """Upper case, white space and other scripts' digits are refused."""
    assert read_hex(text) is None


@pytest.mark.parametrize("text", ["é", "A", "A===", "\ud800"])
def test_text_that_is_no_base64_at_all_is_refused(text: str) -> None:
    """Never an exception."""
    assert read_base64url(text) is None
