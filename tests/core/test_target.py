"""The raw request target: one strict reading."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import TargetMalformed
from countermark.core.target import MAX_LENGTH, MAX_PAIRS, decode_path, parse_target

BROKEN = [
    ("", "origin-form"),
    ("*", "origin-form"),
    ("a.jpg", "origin-form"),
    ("http://other.example/a.jpg", "origin-form"),
    ("//other.example/a.jpg", "double-slash"),
    ("/a b.jpg", "character"),
    ("/a\x7f", "character"),
    ("/a\x00", "character"),
    ("/a\n", "character"),
    ("/é.jpg", "character"),
    ("/a?q=é", "character"),
    ("/a.jpg#top", "fragment"),
    ("/a.jpg?w=1#top", "fragment"),
    ("/a\\b", "backslash"),
    ("/a?b=\\", "backslash"),
    ("/a%", "bad-escape"),
    ("/a%4", "bad-escape"),
    ("/a%zz", "bad-escape"),
    ("/a?b=%g0", "bad-escape"),
    ("/a%00", "control"),
    ("/a%1f", "control"),
    ("/a?b=%0A", "control"),
    ("/a?b=%7F", "control"),
    ("/a%2fb", "encoded-slash"),
    ("/a%2Fb", "encoded-slash"),
    ("/..%2fb", "encoded-slash"),
    ("/a%5cb", "encoded-backslash"),
    ("/a/../b", "dot-segment"),
    ("/a/..", "dot-segment"),
    ("/.", "dot-segment"),
    ("/./a", "dot-segment"),
    ("/..?w=1", "dot-segment"),
    ("/a/%2e%2E/b", "dot-segment"),
    ("/a/.%2e", "dot-segment"),
    ("/a//b", "empty-segment"),
    ("/a/", "empty-segment"),
    ("/a/?w=1", "empty-segment"),
    ("/%c0%ae%c0%ae/x", "utf8"),
    ("/a%ff", "utf8"),
    ("/a%ED%A0%80", "utf8"),
    ("/a?b=%ff", "utf8"),
    ("/a?%ff=b", "utf8"),
    ("/a?", "empty-name"),
    ("/a?=1", "empty-name"),
    ("/a?w=1&", "empty-name"),
    ("/a?&w=1", "empty-name"),
    ("/a?w=1&&h=1", "empty-name"),
    ("/a?w=1&w=2", "duplicate"),
    ("/a?w=1&%77=2", "duplicate"),
    ("/a?" + "&".join(f"p{n}=1" for n in range(MAX_PAIRS + 1)), "too-many-pairs"),
    ("/" + "a" * MAX_LENGTH, "too_long"),
]

ALPHABET = st.sampled_from(
    ["/", "//", ".", "..", "%2e", "%2E", "%2F", "%2f", "%5C", "%00", "%7f", "%", "%41", "%C3%A9", "%c3", "?", "&", "="]
    + ["a", "b", "w=1", "#", "\\", " ", "é", "+", "@", ":", ";", "~", "{"]
)
TARGETS = st.lists(ALPHABET, max_size=12).map(lambda pieces: "/" + "".join(pieces))


@pytest.mark.parametrize(("raw", "rule"), BROKEN, ids=[f"{rule}-{number}" for number, (_, rule) in enumerate(BROKEN)])
def test_a_broken_rule_is_named(raw: str, rule: str) -> None:
    """Every way to be malformed has its own stable name."""
    with pytest.raises(TargetMalformed) as refused:
        parse_target(raw)
    assert refused.value.rule == rule
    assert refused.value.detail


def test_path_and_pairs_are_kept_raw_and_decoded_once() -> None:
    """Raw text for the signature, decoded text for the operations; %25 stays a percent sign."""
    target = parse_target("/shop/a%20b%2541.jpg?text=a%2Bb+c&w=800&flag")
    assert target.path == "/shop/a%20b%2541.jpg"
    assert target.query == "text=a%2Bb+c&w=800&flag"
    assert [(pair.name, pair.value, pair.raw) for pair in target.pairs] == [
        ("text", "a+b+c", "text=a%2Bb+c"),
        ("w", "800", "w=800"),
        ("flag", "", "flag"),
    ]
    assert decode_path(target.path) == "shop/a b%41.jpg"


def test_a_plus_sign_is_never_a_space() -> None:
    """Form encoding is another syntax: `+` and %2B are the same character, %20 is the space."""
    values = [pair.value for pair in parse_target("/a?x=1+1&y=1%2B1&z=1%201").pairs]
    assert values == ["1+1", "1+1", "1 1"]


def test_the_root_may_end_with_its_slash() -> None:
    """The one path that ends with a slash."""
    assert parse_target("/").path == "/"
    assert parse_target("/?w=1").pairs[0].name == "w"


def test_characters_are_not_normalised() -> None:
    """Full-width dots, which NFKC would turn into a climb, stay what they are."""
    assert decode_path(parse_target("/img/%EF%BC%8E%EF%BC%8E/x.jpg").path) == "img/\uff0e\uff0e/x.jpg"


def test_the_limits_themselves_are_allowed() -> None:
    """8000 characters and 64 pairs still pass."""
    assert parse_target("/" + "a" * (MAX_LENGTH - 1))
    assert len(parse_target("/a?" + "&".join(f"p{n}" for n in range(MAX_PAIRS))).pairs) == MAX_PAIRS


@pytest.mark.parametrize(
    ("raw", "waiver"),
    [
        ("/a//b", "empty-segment"),
        ("/a/http://origin.example/b", "empty-segment"),
        ("/a/", "empty-segment"),
        ("/http%3A%2F%2Forigin.example%2Fa", "encoded-slash"),
        ("/a?w=1&w=2", "duplicate"),
    ],
)
def test_a_waiver_lifts_its_own_rule(raw: str, waiver: str) -> None:
    """A dialect that needs an exception names it."""
    with pytest.raises(TargetMalformed):
        parse_target(raw)
    assert parse_target(raw, waive=frozenset({waiver})).raw == raw


@pytest.mark.parametrize("raw", ["//a/b", "/a%2F..%2Fb", "/a%2f%2E%2E", "/a\\b", "/a%00", "/a//../b"])
def test_waivers_open_nothing_else(raw: str) -> None:
    """With every waiver, a climb and another host are still refused."""
    with pytest.raises(TargetMalformed):
        parse_target(raw, waive=frozenset({"empty-segment", "encoded-slash", "duplicate"}))


def acceptable(raw: str) -> bool:
    """The rules once more, slowly and character by character."""
    if any(not "!" <= character <= "~" for character in raw) or "#" in raw or "\\" in raw:
        return False
    escapes = [raw[i + 1 : i + 3] for i, character in enumerate(raw) if character == "%"]
    if any(not re.fullmatch("[0-9a-fA-F]{2}", escape) for escape in escapes):
        return False
    if any(int(escape, 16) < 0x20 or int(escape, 16) == 0x7F for escape in escapes):
        return False
    path, mark, query = raw.partition("?")
    try:
        segments = [_decoded(segment) for segment in path.split("/")[1:]]
        names = [_decoded(pair.split("=")[0]) for pair in query.split("&")] if mark else []
        _decoded(query)
    except UnicodeDecodeError:
        return False
    if any(segment in (".", "..") or "/" in segment or "\\" in segment for segment in segments):
        return False
    if path != "/" and "" in segments:
        return False
    return "" not in names and len(set(names)) == len(names)


def _decoded(text: str) -> str:
    whole = re.sub("%(..)", lambda escape: chr(int(escape[1], 16)), text)
    return whole.encode("latin-1").decode("utf-8")


@given(TARGETS)
def test_the_fast_reading_and_the_rules_agree(raw: str) -> None:
    """What one expression accepts at once is what all rules accept one by one."""
    try:
        parse_target(raw)
    except TargetMalformed:
        assert not acceptable(raw)
    else:
        assert acceptable(raw)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(raw: str) -> None:
    """Nothing but TargetMalformed comes out of a target."""
    try:
        target = parse_target(raw)
    except TargetMalformed:
        return
    assert target.raw == raw


@pytest.mark.parametrize("frame", ["/a{}b", "/{}", "/a/{}/b", "/a?b={}", "/a?b{}=1", "/a{}?b=1"])
def test_every_character_and_every_escape_is_judged_alike(frame: str) -> None:
    """All 128 characters and all 256 escapes, in both cases, at every kind of place."""
    pieces = [chr(code) for code in range(128)] + [f"%{code:02x}" for code in range(256)]
    for piece in pieces + [piece.upper() for piece in pieces]:
        raw = frame.format(piece)
        try:
            parse_target(raw)
        except TargetMalformed:
            assert not acceptable(raw), raw
        else:
            assert acceptable(raw), raw
