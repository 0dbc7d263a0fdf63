"""Revocations as JSON lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import ConfigurationInvalid
from countermark.identity.exchange import LONGEST_LINE, fault_of, line_of, read
from countermark.identity.revocation import Revocation

seconds = st.none() | st.integers(0, 2**32 - 2)
revocations = st.builds(
    Revocation,
    kind=st.sampled_from(["user", "session", "client", "key", "template", "jti"]),
    value=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40),
    issued_before=seconds,
    lifted=st.booleans(),
    created=st.floats(0, 2**32),
    expires=seconds,
    reason=st.text(st.characters(exclude_categories=["Cs"])),
    author=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    severity=st.sampled_from(["warning", "critical"]),
)


def imported(*lines: bytes) -> list[Revocation]:
    return list(read(lines, name="list.jsonl", now=100.0, author="ops"))


@given(st.lists(revocations, max_size=5))
def test_what_is_exported_is_imported_unchanged(entries: list[Revocation]) -> None:
    """Every field of every entry, one line each."""
    lines = [line_of(entry) for entry in entries]
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert imported(*lines) == entries


def test_kind_and_value_are_enough() -> None:
    """Whoever writes a list by hand; the importer's time and name stand in."""
    assert imported(b'{"kind":"user","value":"u"}\n', b"\n") == [
        Revocation(kind="user", value="u", created=100.0, author="ops")
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"kind":"user"}', "value"),
        (b'{"kind":"wizard","value":"u"}', "wizard"),
        (b'{"kind":"user","value":"u","issued_befor":5}', "issued_befor"),
        (b'{"kind":"user","value":""}', "printable"),
        (b'{"kind":"user","value":"a\\u0000b"}', "printable"),
        (b'{"kind":"grant","value":"ABC"}', "64 lower-case"),
        (b'{"kind":"path","value":"/private/"}', "SITE:/PREFIX"),
        (b'{"kind":"path","value":"shop:private"}', "SITE:/PREFIX"),
        (b'{"kind":"user","value":"u","expires":1764000000000}', "milliseconds"),
        (b'{"kind":"user","value":"u","issued_before":-1}', "issued_before"),
        (b'{"kind":"user","value":"\xff"}', ""),
        (b"nonsense", "malformed"),
        (b'{"kind":"user","value":"u","reason":"' + b"x" * LONGEST_LINE + b'"}', "longer"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(line: bytes, words: str) -> None:
    """And nothing behind it is read."""
    entries = read([b'{"kind":"user","value":"u"}\n', line, b"never"], name="list.jsonl", now=0.0)
    assert next(entries).value == "u"
    with pytest.raises(ConfigurationInvalid) as caught:
        next(entries)
    assert "list.jsonl:2:1: " in caught.value.detail
    assert words in caught.value.detail


@given(st.binary(max_size=200))
def test_any_octets_are_an_entry_or_a_fault(line: bytes) -> None:
    """A parser that raises anything else would stop an import without saying where."""
    try:
        assert all(not fault_of(entry) for entry in imported(line))
    except ConfigurationInvalid as error:
        assert error.faults[0].line == 1
