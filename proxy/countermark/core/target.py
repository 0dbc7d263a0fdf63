"""The raw request target, parsed once and strictly (RFC 9112 §3.2.1, origin-form only).

Whatever is verified here is what is acted upon: nothing is decoded twice, normalised or repaired. A `+` in a query is a
plus sign and never a space; a space is written %20.

Rules, by the stable names that `TargetMalformed.rule` carries (those marked * can be waived):

    too_long           more than 8000 characters
    origin-form        not a path: an absolute URL, an asterisk, nothing at all
    double-slash       starts with "//", which clients and proxies read as another host
    character          a byte outside 0x21-0x7E
    fragment           a "#"
    backslash          a "\\", which some servers read as "/"
    bad-escape         a "%" that two hexadecimal digits do not follow
    control            an escaped control character, %00-%1F or %7F
    encoded-slash *    %2F in the path
    encoded-backslash  %5C in the path
    dot-segment        "." or ".." as a segment, literal or escaped
    empty-segment *    "a//b", or a slash at the end of anything but the root
    utf8               escapes that are not valid UTF-8
    too-many-pairs     more than 64 query pairs
    empty-name         a query pair without a name, such as the one behind a lone "?" or between "&&"
    duplicate *        two query pairs of the same decoded name
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from msgspec import Struct

from countermark.core.errors import TargetMalformed

MAX_LENGTH = 8000
MAX_PAIRS = 64

# What nearly every request is made of, in one pass. A target that does not match is looked at rule by rule, to name the
# broken one or to find that it was waived. Only single characters are repeated possessively: CPython before 3.11.5 goes on
# behind a possessive group that failed (gh-106052), and "/a/.." matched. No two parts can begin alike, so that what is
# left to backtrack is linear.
_DOTS_AHEAD = r"(?!\.\.?(?:[/?]|\Z))"
_SEGMENT = (
    r"(?:[!\"$&-.0->@-\[\]-~]++"
    r"|%(?:2[0-9A-Da-d]|[346][0-9A-Fa-f]|5[0-9ABD-Fabd-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f]))+"
)
_QUERY = r"(?:[!\"$&-\[\]-~]++|%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f]))+"
_CLEAN = re.compile(
    rf"(/(?:{_DOTS_AHEAD}{_SEGMENT}(?:/{_DOTS_AHEAD}{_SEGMENT})*)?)(?:\?({_QUERY}))?",
)

_STRANGE = re.compile(r"[^!-~]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")


class Pair(Struct, frozen=True):
    """One query pair: the decoded name and value, and `raw`, the text `name=value` exactly as received."""

    name: str
    value: str
    raw: str


class Target(Struct, frozen=True, kw_only=True):
    """`raw` is path and query as received, `path` the still percent-encoded path, `query` None where there is no '?'."""

    raw: str
    path: str
    query: str | None
    pairs: tuple[Pair, ...]


def parse_target(raw: str, *, waive: frozenset[str] = frozenset()) -> Target:
    """Parse a raw target or raise TargetMalformed. `waive` names rules that a dialect cannot keep."""
    if len(raw) > MAX_LENGTH:
        raise _broken("too_long")
    clean = _CLEAN.fullmatch(raw)
    if clean:
        path, query = clean.groups()
    else:
        path, query = _split_by_the_rules(raw, waive)
    if "%" in path:
        decode_path(path)
    pairs = () if query is None else _split_pairs(query)
    if len({pair.name for pair in pairs}) != len(pairs) and "duplicate" not in waive:
        raise _broken("duplicate")
    return Target(raw=raw, path=path, query=query, pairs=pairs)


def decode_path(path: str) -> str:
    """The object key that a path (or a part of one) spells: percent-decoded once, without its leading slash.

    Raises TargetMalformed where the escapes are not UTF-8.
    """
    return _decode(path).removeprefix("/")


def _split_by_the_rules(raw: str, waive: frozenset[str]) -> tuple[str, str | None]:
    """Path and query of a target that is not plainly clean, or TargetMalformed with the first rule that it breaks."""
    if not raw.startswith("/"):
        raise _broken("origin-form")
    if raw.startswith("//"):
        raise _broken("double-slash")
    if _STRANGE.search(raw):
        raise _broken("character")
    if "#" in raw:
        raise _broken("fragment")
    if "\\" in raw:
        raise _broken("backslash")
    if _BAD_ESCAPE.search(raw):
        raise _broken("bad-escape")
    if _CONTROL.search(raw):
        raise _broken("control")
    path, mark, query = raw.partition("?")
    _check_path(path, waive)
    return path, query if mark else None


def _check_path(path: str, waive: frozenset[str]) -> None:
    upper = path.upper()
    if "%2F" in upper and "encoded-slash" not in waive:
        raise _broken("encoded-slash")
    if "%5C" in upper:
        raise _broken("encoded-backslash")
    # Decoded first, so that neither %2E nor a waived %2F hides a climb out of the origin's root.
    if not {".", ".."}.isdisjoint(_decode(path).split("/")):
        raise _broken("dot-segment")
    if path != "/" and "" in path.split("/")[1:] and "empty-segment" not in waive:
        raise _broken("empty-segment")


def _split_pairs(query: str) -> tuple[Pair, ...]:
    # A bound on the work that one request can cause here and in everything behind it.
    if query.count("&") >= MAX_PAIRS:
        raise _broken("too-many-pairs")
    pairs = []
    escaped = "%" in query
    for raw in query.split("&"):
        name, _, value = raw.partition("=")
        if not name:
            raise _broken("empty-name")
        pairs.append(Pair(_decode(name), _decode(value), raw) if escaped else Pair(name, value, raw))
    return tuple(pairs)


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _broken("utf8") from None


_SENTENCES = {
    "too_long": f"The request target is longer than {MAX_LENGTH} characters.",
    "origin-form": "The request target must be a path that starts with a slash.",
    "double-slash": "The path must not start with two slashes.",
    "character": "The request target holds a character that must be percent-encoded, as %20 for a space.",
    "fragment": "The request target must not hold a '#'; write %23.",
    "backslash": "The request target must not hold a backslash.",
    "bad-escape": "The request target holds a '%' that two hexadecimal digits do not follow.",
    "control": "The request target holds an escaped control character.",
    "encoded-slash": "The path must not hold an encoded slash (%2F).",
    "encoded-backslash": "The path must not hold an encoded backslash (%5C).",
    "dot-segment": "The path must not hold '.' or '..' as a segment, in any spelling.",
    "empty-segment": "The path must not hold an empty segment or end with a slash.",
    "utf8": "The request target holds escapes that are not UTF-8.",
    "too-many-pairs": f"The query has more than {MAX_PAIRS} parameters.",
    "empty-name": "The query holds a parameter without a name.",
    "duplicate": "The query holds the same parameter twice.",
}


def _broken(rule: str) -> TargetMalformed:
    return TargetMalformed(_SENTENCES[rule], rule=rule)
