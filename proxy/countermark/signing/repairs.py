"""What proxies, browsers, templates and signers do to a signed request, undone: each repair is a request to try.

Nothing here knows a vendor's URLs: a credential may stand in any segment of the path, in any parameter or in a header
field, and the dialect says whether a repaired request holds. A repair is only ever tried to explain a refusal; no request
is answered by way of one.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import permutations
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.request import EdgeRequest
from countermark.core.target import MAX_LENGTH, MAX_PAIRS, Pair, Target


class Repair(Struct, frozen=True):
    """A request as it may have been signed, the stable name of the change, and what to look for.

    `detail` says nothing of the repaired text: in a path it would be the signature that was expected.
    """

    change: str
    detail: str
    request: EdgeRequest


class Arrived(Struct, frozen=True):
    """A target taken apart: its path, its raw pairs, and the names of parameters that belong to a dialect."""

    path: str
    pairs: tuple[str, ...]
    own: frozenset[str]

    @property
    def segments(self) -> list[str]:
        """The path between its slashes, as far as it is looked at: the first is empty."""
        return self.path.split("/")

    def is_own(self, pair: str) -> bool:
        """Whether a raw pair may carry credentials."""
        return _name(pair) in self.own


# A step in undoing: what to look for, the path and the raw pairs as they may have been.
_Attempt = tuple[str, str, Iterable[str]]
_Undo = Callable[[Arrived], Iterator[_Attempt]]
_Spell = Callable[[str], str]

_MAX_PERMUTED = 4
_MAX_SEGMENTS = 16
_MAX_RANGED = 8
_MAX_JOINED = 4
_LEAST_SIGNATURE = 8
_TRACKERS = re.compile(r"utm_\w+|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|_gl|srsltid|ref")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ONE_SLASH = re.compile(r"(?<=[A-Za-z])(:|%3[Aa])/(?=[^/])")
_HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2}){16,64}")
_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "avif", "gif")

_SAFE = ("", "/", "@", "=&", "!'()*", "/:@", "/!$&'()*+,;=:@", "/!$&'()*+,;=:@[]")
"""What signers leave as it is, besides letters, digits and -._~."""

_SINGLY = ("[", "]", "[]", "{}", "()", *" !\"$&'*+,/:;<=>?@\\^`|~")
"""What one program escapes and the next does not."""


def lenient_target(raw: str) -> Target:
    """A target without the rules of core/target.py, for explaining only; the rest of an overlong one is dropped."""
    path, mark, query = raw[:MAX_LENGTH].partition("#")[0].partition("?")
    return _target(path, query.split("&")[:MAX_PAIRS] if mark else [])


def repairs(
    request: EdgeRequest, *, own: frozenset[str], fields: frozenset[str], key_ids: tuple[str, ...]
) -> Iterator[Repair]:
    """All repairs worth trying, each once, a thousand at most.

    `own` are names of parameters and `fields` of header fields that may carry credentials; `key_ids` are those that the
    site's keys have.
    """
    target = request.target
    arrived = Arrived(path=target.path, pairs=tuple(pair.raw for pair in target.pairs), own=own)
    tried = {target.raw}
    undoing: list[tuple[str, _Undo]] = [("missing-parameter", partial(_missing_key_id, key_ids)), *_UNDOING]
    for change, undo in undoing:
        for detail, path, pairs in undo(arrived):
            repaired = _target(path, pairs)
            if repaired.raw not in tried:
                tried.add(repaired.raw)
                yield Repair(change, detail, replace(request, target=repaired))
    for name in sorted(fields & request.headers.keys()):
        for detail, headers in _field_texts(name, request.headers):
            yield Repair("field-text", detail, replace(request, headers=headers))


def _target(path: str, raws: Iterable[str]) -> Target:
    pairs = []
    for raw in raws:
        name, _, value = raw.partition("=")
        pairs.append(Pair(unquote(name), unquote(value), raw))
    query = "&".join(pair.raw for pair in pairs) if pairs else None
    return Target(raw=path if query is None else f"{path}?{query}", path=path, query=query, pairs=tuple(pairs))


def _missing_key_id(key_ids: tuple[str, ...], url: Arrived) -> Iterator[_Attempt]:
    if not any(pair.startswith("kid=") for pair in url.pairs):
        for key_id in key_ids[:8]:
            yield f"kid={key_id} was signed and is missing", url.path, [*url.pairs, f"kid={key_id}"]


def _entities(url: Arrived) -> Iterator[_Attempt]:
    pairs = [pair.removeprefix("amp;") for pair in url.pairs]
    yield "the URL was escaped as HTML: &amp; stands for &", url.path.replace("&amp;", "&"), pairs


def _extra(url: Arrived) -> Iterator[_Attempt]:
    trackers = [pair for pair in url.pairs if _TRACKERS.fullmatch(_name(pair))]
    if trackers:
        detail = f"{'&'.join(trackers)} came in on the way"
        yield detail, url.path, [pair for pair in url.pairs if pair not in trackers]
    strange = [pair for pair in url.pairs if not url.is_own(pair)]
    for pair in strange:
        yield f"{_name(pair)} came in on the way", url.path, [other for other in url.pairs if other is not pair]
    names = ", ".join(_name(pair) for pair in strange)
    yield f"{names} came in on the way", url.path, [pair for pair in url.pairs if url.is_own(pair)]
    yield "the query came in on the way", url.path, []


def _plus(url: Arrived) -> Iterator[_Attempt]:
    for now, then in (("+", "%20"), ("%20", "+"), (" ", "+"), ("+", "%2B"), ("%2B", "+")):
        detail = f"'{then}' was signed where '{now}' arrived"
        respelled = [pair if url.is_own(pair) else pair.replace(now, then) for pair in url.pairs]
        yield detail, url.path, respelled
        yield detail, url.path.replace(now, then), url.pairs
        yield detail, url.path.replace(now, then), respelled


def _escapes(url: Arrived) -> Iterator[_Attempt]:
    for text, then, spell in _escapings():
        detail = f"{text} was signed as {then}"
        pairs = [pair if url.is_own(pair) else spell(pair) for pair in url.pairs]
        yield detail, spell(url.path), url.pairs
        yield detail, url.path, pairs
        yield detail, spell(url.path), pairs
    for spell in _RESPELLING:
        yield "path and query were escaped in another way", spell(url.path), [spell(pair) for pair in url.pairs]
    queries = [[pair if url.is_own(pair) else spell(pair) for pair in url.pairs] for spell in _PAIR_SPELLINGS]
    for respelled in queries:
        yield "the query was escaped in another way", url.path, respelled
    for path in _respelled_paths(url.path):
        yield "the path was escaped in another way", path, url.pairs
    for respelled in queries:
        yield "path and query were escaped in another way", quote(unquote(url.path), safe="/"), respelled


def _respelled_paths(path: str) -> Iterator[str]:
    """All of the path in another spelling, then runs of its segments: a URL that stands in a path has its own escapes."""
    for spell in _SPELLINGS:
        yield spell(path)
    for whole in dict.fromkeys((path, _ONE_SLASH.sub(r"\1//", path))):
        segments = whole.split("/")
        for start, end in _runs(len(segments)):
            run = "/".join(segments[start:end])
            for spell in (unquote, *_QUOTING, *_QUOTING_AGAIN):
                yield "/".join([*segments[:start], spell(run), *segments[end:]])


def _runs(count: int) -> Iterator[tuple[int, int]]:
    """Each run to the end; where there are few segments, also those that end before."""
    for start in range(1, min(count, _MAX_SEGMENTS)):
        yield start, count
    if count <= _MAX_RANGED:
        for start in range(1, count):
            for end in range(start + 1, count):
                yield start, end


def _slashes(url: Arrived) -> Iterator[_Attempt]:
    yield "one slash arrived where two were signed", _ONE_SLASH.sub(r"\1//", url.path), url.pairs
    yield "a slash was added on the way", re.sub(r"/{2,}", "/", url.path), url.pairs
    yield "a slash at the end was added on the way", url.path.rstrip("/"), url.pairs
    yield "a slash at the end was signed", url.path + "/", url.pairs
    segments = url.segments
    for number in range(1, min(len(segments), _MAX_SEGMENTS)):
        doubled = "/".join([*segments[:number], "", *segments[number:]])
        yield "one slash arrived where two were signed", doubled, url.pairs
        if not segments[number]:
            single = "/".join([*segments[:number], *segments[number + 1 :]])
            yield "a slash was added on the way", single, url.pairs


def _case(url: Arrived) -> Iterator[_Attempt]:
    detail = "the path was signed in other letters: capital or small"
    stem, dot, extension = url.path.rpartition(".")
    extensions = [stem + dot + fold(extension) for fold in (str.lower, str.upper, str.title)]
    for candidate in (*extensions, url.path.lower(), url.path.upper()):
        yield detail, candidate, url.pairs
    segments = url.segments
    for number, segment in enumerate(segments[:_MAX_SEGMENTS]):
        for case in (segment[:1].swapcase() + segment[1:], segment.title(), segment.lower(), segment.upper()):
            yield detail, "/".join([*segments[:number], case, *segments[number + 1 :]]), url.pairs
    lowered = [pair if url.is_own(pair) else pair.lower() for pair in url.pairs]
    yield "the query was signed in small letters", url.path, lowered


def _extension(url: Arrived) -> Iterator[_Attempt]:
    stem, dot, last = url.path.rpartition(".")
    if dot and "/" not in last:
        yield f"the extension .{last} was added on the way", stem, url.pairs
    for extension in _EXTENSIONS:
        for mark in ".@":
            yield (
                f"{mark}{extension} at the end of the path was lost on the way",
                url.path + mark + extension,
                url.pairs,
            )
        if dot and "/" not in last:
            yield f"the path was signed with .{extension} at its end", f"{stem}.{extension}", url.pairs


def _order(url: Arrived) -> Iterator[_Attempt]:
    detail = "the parameters were signed in another order"
    free = [pair for pair in url.pairs if not url.is_own(pair)]
    own = [pair for pair in url.pairs if url.is_own(pair)]
    yield detail, url.path, free + own
    if len(url.pairs) <= _MAX_PERMUTED:
        yield from ((detail, url.path, order) for order in permutations(url.pairs))
        return
    orders = [*permutations(free)] if len(free) <= _MAX_PERMUTED else [sorted(free), free[::-1]]
    tails = [*permutations(own)] if len(own) < _MAX_PERMUTED else [own]
    yield from ((detail, url.path, [*order, *tail]) for tail in tails for order in orders)


def _signature_text(url: Arrived) -> Iterator[_Attempt]:
    """In each place where a signature may stand. One that was in base64 with "/" is spread over several segments."""
    for number, pair in enumerate(url.pairs):
        name, equals, value = pair.partition("=")
        if url.is_own(pair):
            for detail, text in _texts(value):
                respelled = f"{unquote(name)}{equals}{text}"
                yield f"{unquote(name)} {detail}", url.path, [*url.pairs[:number], respelled, *url.pairs[number + 1 :]]
    segments = url.segments
    for number in range(1, min(len(segments), _MAX_RANGED)):
        for end in range(number + 1, min(len(segments), number + _MAX_JOINED) + 1):
            for detail, text in _texts("/".join(segments[number:end])):
                path = "/".join([*segments[:number], text, *segments[end:]])
                yield f"a segment of the path {detail}", path, url.pairs


def _texts(value: str) -> Iterator[tuple[str, str]]:
    """A credential's text as it may have been."""
    text = unquote(value).strip().strip('"').replace(" ", "+")
    if len(text) < _LEAST_SIGNATURE:
        return
    urlsafe = text.replace("+", "-").replace("/", "_")
    yield "is to be written without percent escapes and with nothing around it", text
    yield "is to be base64url without padding, with nothing around it", urlsafe.rstrip("=")
    padding = "=" * (-len(urlsafe.rstrip("=")) % 4)
    yield "is to have the padding of base64", urlsafe.rstrip("=") + padding
    yield "has lost an = at its end", f"{text}="
    yield "is to have its +, / and = percent-encoded", quote(text, safe="-_.~")
    yield "is to have its +, / and = percent-encoded", quote(text.rstrip("=") + padding, safe="-_.~")
    yield "is to be hexadecimal in small letters", text.lower()
    if _HEXADECIMAL.fullmatch(text):
        packed = b64encode(bytes.fromhex(text), b"-_").decode()
        yield "is hexadecimal and is to be base64url", packed.rstrip("=")
        yield "is hexadecimal and is to be base64url with padding", packed
    elif re.fullmatch(r"[A-Za-z0-9_-]{22,88}={0,2}", urlsafe) and len(urlsafe.rstrip("=")) % 4 != 1:
        yield "is base64 and is to be hexadecimal", b64decode(urlsafe.rstrip("=") + padding, b"-_").hex()


def _field_texts(name: str, headers: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A header field with credentials as it may have been."""
    arrived = headers[name]
    for detail, text in (
        ("was percent-encoded on the way", unquote(arrived)),
        ("was put into quotation marks on the way", arrived.replace('"', "")),
        ("was percent-encoded and put into quotation marks on the way", unquote(arrived).replace('"', "")),
        ("has + where - was signed, or / where _ was", arrived.replace("+", "-").replace("/", "_")),
    ):
        if text != arrived:
            yield f"the field {name} {detail}", {**headers, name: text}


_UNDOING: tuple[tuple[str, _Undo], ...] = (
    ("html-entities", _entities),
    ("extra-parameter", _extra),
    ("plus", _plus),
    ("slash", _slashes),
    ("escaping", _escapes),
    ("case", _case),
    ("extension", _extension),
    ("order", _order),
    ("signature-text", _signature_text),
)


def _name(pair: str) -> str:
    return unquote(pair.partition("=")[0])


def _escapings() -> Iterator[tuple[str, str, _Spell]]:
    """For each character that programs disagree on: how it arrived, how it was signed, and the way back."""
    for text in _SINGLY:
        upper = "".join(f"%{ord(character):02X}" for character in text)
        yield text, upper, partial(_swap, text, fold=str.upper)
        yield text, upper.lower(), partial(_swap, text, fold=str.lower)
        yield upper, text, partial(_decode, frozenset(text))


def _swap(text: str, spelled: str, *, fold: Callable[[str], str]) -> str:
    for character in text:
        # In a pair the first = and in a path the slashes have a meaning of their own; escaped runs see to those.
        if character not in "/=":
            spelled = spelled.replace(character, fold(f"%{ord(character):02X}"))
    return spelled


def _decode(characters: frozenset[str], spelled: str) -> str:
    return _ESCAPE.sub(lambda found: unquote(found[0]) if unquote(found[0]) in characters else found[0], spelled)


def _quoted(safe: str, text: str) -> str:
    return quote(unquote(text), safe=safe)


def _quoted_pair(safe: str, pair: str) -> str:
    name, equals, value = pair.partition("=")
    return _quoted(safe, name) + equals + _quoted(safe, value)


def _hex_case(fold: Callable[[str], str], text: str) -> str:
    return _ESCAPE.sub(lambda escape: fold(escape[0]), text)


def _once_less(text: str) -> str:
    return text.replace("%25", "%")


def _once_more(text: str) -> str:
    return text.replace("%", "%25")


_QUOTING: tuple[_Spell, ...] = tuple(partial(_quoted, safe) for safe in _SAFE)
_QUOTING_AGAIN: tuple[_Spell, ...] = tuple(partial(quote, safe=safe) for safe in ("", "@"))
_RESPELLING: tuple[_Spell, ...] = (
    unquote, partial(_hex_case, str.upper), partial(_hex_case, str.lower), _once_less, _once_more,
)  # fmt: skip
_SPELLINGS: tuple[_Spell, ...] = (*_RESPELLING, *(partial(_quoted, safe) for safe in _SAFE if "/" in safe))
_PAIR_SPELLINGS: tuple[_Spell, ...] = (*_RESPELLING, *(partial(_quoted_pair, safe) for safe in _SAFE))
