"""YAML of any kind costs a bounded amount and gets a sentence with a place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import ConfigurationInvalid
from countermark.settings.document import MAX_BYTES, MAX_DEPTH, MAX_NODES, decode, parse
from countermark.settings.load import load


def refusal(text: str) -> str:
    """The one fault of a text that is refused before it is understood."""
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text, file="s.yaml")
    (fault,) = caught.value.faults
    return str(fault)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a:\n\t- b", "s.yaml:2:1: a tab; YAML indents with spaces only"),
        ("a: \x00", "s.yaml:1:4: a control character, which YAML does not allow"),
        ("b: 1\na: *x", "s.yaml:2:4: an alias (*x); write the value out"),
        ("a: !!python/object:os.system x", "s.yaml:1:4: a tag; values take their type from the setting"),
        ("a: !<tag:yaml.org,2002:map> {}", "s.yaml:1:4: a tag; values take their type from the setting"),
        ("a: 1\n---\nb: 2", "s.yaml:3:1: a second document; one file holds one"),
        ("a: 1\na: 2", "s.yaml:2:1: 'a' is written twice; the first stands in line 1"),
        ("%YAML 1.1\n---\na: 1", "s.yaml:1:1: a YAML directive; leave it out"),
        ("? [a]\n: b", "s.yaml:1:3: a key that is not a text"),
        ('a: "\\U00110000"', "s.yaml: not YAML"),
    ],
)
def test_what_a_settings_file_does_not_need_is_refused(text: str, sentence: str) -> None:
    """Each with line and column of what is wrong."""
    assert refusal(text) == sentence


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 100_000])
def test_nesting_is_bounded(text: str) -> None:
    """Depth is refused while it is read; a parser that reads on needs minutes for the first of these."""
    assert f"nested deeper than {MAX_DEPTH} levels" in refusal(text)


def test_the_number_of_values_is_bounded() -> None:
    """A list may not have more of them than a settings file ever needs."""
    assert f"more than {MAX_NODES} values" in refusal("- 1\n" * (MAX_NODES + 1))


def test_the_size_is_bounded_before_it_is_read() -> None:
    """For text and for bytes."""
    assert "larger than 256 KiB" in refusal("#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationInvalid, match="larger than 256 KiB"):
        decode(b"#" * (MAX_BYTES + 1))


def test_bytes_that_are_not_utf_8_are_refused_with_their_line() -> None:
    """The first wrong byte stands in line 2."""
    with pytest.raises(ConfigurationInvalid) as caught:
        decode(b"a: 1\nb: \xff\n", file="s.yaml")
    assert str(caught.value) == "s.yaml:2:1: not UTF-8; save the file with that encoding"


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Some editors write one."""
    assert decode(b"\xef\xbb\xbfa: 1") == "a: 1"


@given(st.text(alphabet=st.sampled_from("ab:-[]{}?!*&%|>#'\"\\,0x \n\t~<é\x00\x85\ufeff"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other error than ConfigurationInvalid leaves the reader."""
    try:
        load(text)
    except ConfigurationInvalid as invalid:
        assert invalid.faults
