"""What proxies, browsers, templates and signers do to a signed URL, undone: each repair is a target to try.

A repair is only ever tried to explain a refusal; no request is answered by way of one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import permutations
from urllib.parse import quote, unquote

from msgspec import Struct

from countermark.core.target import MAX_LENGTH, MAX_PAIRS, Pair, Target


class Repair(Struct, frozen=True):
    """A target as it may have been signed, the stable name of the change, and what to look for."""

    change: str
    detail: str
    target: Target


# A step in undoing: what to look for, the path and the raw pairs as they may have been.
_Attempt = tuple[str, str, list[str]]

_MAX_PERMUTED = 5
_MAX_SEGMENTS = 16
_SIGNATURES = (
    "sig", "token", "signature", "Signature", "X-Amz-Signature", "edge-cache-token", "__token__", "hdnts", "hdnea",
    "hdntl", "__gda__", "md5", "st", "verify", "s", "ik-s", "__cld_token__",
)  # fmt: skip
_TRACKERS = re.compile(r"utm_\w+|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|_gl|srsltid|ref")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_SUB_DELIMITERS = "/!$&'()*+,;=:@"


def lenient_target(raw: str) -> Target:
    """A target without the rules of core/target.py, for explaining only; the rest of an overlong one is dropped."""
    path, mark, query = raw[:MAX_LENGTH].partition("#")[0].partition("?")
    return _target(path, query.split("&")[:MAX_PAIRS] if mark else [])


def repairs(target: Target, key_ids: tuple[str, ...]) -> Iterator[Repair]:
    """All repairs worth trying, a few hundred at most. `key_ids` are those that the site's keys have."""
    path, pairs = target.path, [pair.raw for pair in target.pairs]
    yield from _tried("missing-parameter", _missing_key_id(path, pairs, key_ids), target)
    for change, undo in _UNDOING:
        yield from _tried(change, undo(path, pairs), target)


def _tried(change: str, attempts: Iterator[_Attempt], target: Target) -> Iterator[Repair]:
    for detail, path, pairs in attempts:
        repaired = _target(path, pairs)
        if repaired.raw != target.raw:
            yield Repair(change, detail, repaired)


def _target(path: str, raws: list[str]) -> Target:
    pairs = []
    for raw in raws:
        name, _, value = raw.partition("=")
        pairs.append(Pair(unquote(name), unquote(value), raw))
    query = "&".join(raws) if raws else None
    return Target(raw=path if query is None else f"{path}?{query}", path=path, query=query, pairs=tuple(pairs))


def _missing_key_id(path: str, pairs: list[str], key_ids: tuple[str, ...]) -> Iterator[_Attempt]:
    if not any(pair.startswith("kid=") for pair in pairs):
        for key_id in key_ids[:8]:
            yield f"kid={key_id} was signed and is missing", path, [*pairs, f"kid={key_id}"]


def _order(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    free = [pair for pair in pairs if _name(pair) not in _SIGNATURES]
    last = [pair for pair in pairs if _name(pair) in _SIGNATURES]
    detail = "the parameters were signed in the order "
    yield detail + _listed(free), path, free + last
    orders = permutations(free) if len(free) <= _MAX_PERMUTED else iter((sorted(free), free[::-1]))
    for order in orders:
        yield detail + _listed(list(order)), path, [*order, *last]


def _escapes(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    for respelled in (
        quote(unquote(path), safe="/"),
        quote(unquote(path), safe=_SUB_DELIMITERS),
        unquote(path),
        _hex_case(path, str.upper),
        _hex_case(path, str.lower),
        path.replace("%25", "%"),
        path.replace("%", "%25"),
    ):
        yield f"the path was signed as {respelled}", respelled, pairs
    for spell in (_canonical, _unescaped, _upper_hex, _lower_hex):
        respelled_pairs = [pair if _name(pair) in _SIGNATURES else spell(pair) for pair in pairs]
        yield f"the query was signed as {_listed(respelled_pairs)}", path, respelled_pairs
        yield "path and query were escaped in another way", quote(unquote(path), safe="/"), respelled_pairs


def _case(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    stem, dot, extension = path.rpartition(".")
    candidates = [path.lower(), path.upper(), stem + dot + extension.lower(), stem + dot + extension.upper()]
    segments = path.split("/")
    for number, segment in enumerate(segments[:_MAX_SEGMENTS]):
        cases = (segment[:1].swapcase() + segment[1:], segment.title(), segment.lower(), segment.upper())
        candidates.extend("/".join([*segments[:number], case, *segments[number + 1 :]]) for case in cases)
    for candidate in candidates:
        yield f"the path was signed as {candidate}", candidate, pairs
    lowered = [pair if _name(pair) in (*_SIGNATURES, "kid") else pair.lower() for pair in pairs]
    yield "the query was signed in lower case", path, lowered


def _slashes(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    yield "a slash was added on the way", re.sub(r"/{2,}", "/", path), pairs
    yield "a slash at the end was added on the way", path.rstrip("/"), pairs
    yield "a slash at the end was signed", path + "/", pairs
    segments = path.split("/")
    for number in range(1, min(len(segments), _MAX_SEGMENTS)):
        doubled = "/".join([*segments[:number], "", *segments[number:]])
        yield f"the path was signed as {doubled}", doubled, pairs


def _plus(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    for now, then in (("+", "%20"), ("%20", "+"), ("+", "%2B"), ("%2B", "+")):
        respelled = [pair if _name(pair) in _SIGNATURES else pair.replace(now, then) for pair in pairs]
        yield f"'{then}' was signed where '{now}' arrived", path, respelled


def _extra(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    trackers = [pair for pair in pairs if _TRACKERS.fullmatch(_name(pair))]
    if trackers:
        yield f"{_listed(trackers)} came in on the way", path, [pair for pair in pairs if pair not in trackers]
    for number, pair in enumerate(pairs):
        if _name(pair) not in _SIGNATURES:
            yield f"{_name(pair)} came in on the way", path, pairs[:number] + pairs[number + 1 :]


def _entities(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    yield "the URL was escaped as HTML: &amp; stands for &", path, [pair.removeprefix("amp;") for pair in pairs]


def _signature_text(path: str, pairs: list[str]) -> Iterator[_Attempt]:
    for number, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        if name in _SIGNATURES:
            text = unquote(value).strip().replace(" ", "+")
            plain = text.rstrip("=").replace("+", "-").replace("/", "_")
            detail = f"{name} is to be base64url without padding, with nothing around it"
            yield detail, path, [*pairs[:number], f"{name}={plain}", *pairs[number + 1 :]]
            if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
                packed = b64encode(bytes.fromhex(text), b"-_").decode().rstrip("=")
                detail = f"{name} is hexadecimal and is to be base64url"
                yield detail, path, [*pairs[:number], f"{name}={packed}", *pairs[number + 1 :]]


_UNDOING: tuple[tuple[str, Callable[[str, list[str]], Iterator[_Attempt]]], ...] = (
    ("html-entities", _entities),
    ("extra-parameter", _extra),
    ("plus", _plus),
    ("escaping", _escapes),
    ("slash", _slashes),
    ("case", _case),
    ("order", _order),
    ("signature-text", _signature_text),
)


def _name(pair: str) -> str:
    return unquote(pair.partition("=")[0])


def _listed(pairs: list[str]) -> str:
    """Pairs for people. Never a signature: the one of a repaired URL would be the one that was expected."""
    return "&".join(pair for pair in pairs if _name(pair) not in _SIGNATURES)


def _canonical(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return quote(unquote(name), safe="") + equals + quote(unquote(value), safe="")


def _unescaped(pair: str) -> str:
    return unquote(pair)


def _upper_hex(pair: str) -> str:
    return _hex_case(pair, str.upper)


def _lower_hex(pair: str) -> str:
    return _hex_case(pair, str.lower)


def _hex_case(text: str, fold: Callable[[str], str]) -> str:
    return _ESCAPE.sub(lambda escape: fold(escape[0]), text)
