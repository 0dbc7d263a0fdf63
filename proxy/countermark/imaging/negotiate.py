"""Which output formats a client asks for by name (RFC 9110 §12.5.1, read narrowly)."""

from __future__ import annotations

from countermark.core.picture import CONTENT_TYPES, Format

_LONGEST = 1024
_PARTS = 32


def accepted(accept: str, order: tuple[Format, ...]) -> tuple[Format, ...]:
    """Those formats of `order`, in that order, that the Accept header names explicitly with a weight above 0.

    `image/*` and `*/*` name nothing: browsers send them for formats that they cannot show. The client's weights do
    not reorder, so that the header falls into few buckets and a cache holds few variants. A header longer than 1,024
    characters counts as none: it costs no more than its length check.
    """
    if not accept or len(accept) > _LONGEST:
        return ()
    named: dict[str, bool] = {}
    for part in accept.lower().split(",", _PARTS)[:_PARTS]:
        media, _, parameters = part.partition(";")
        kind = media.strip()
        # Said twice, once with q=0: the refusal holds.
        named[kind] = named.get(kind, True) and _wanted(parameters)
    return tuple(format for format in order if named.get(CONTENT_TYPES[format], False))


def _wanted(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return _weight(value.strip()) > 0
    return True


def _weight(text: str) -> float:
    """A qvalue; what is none excludes the format, as the safe reading."""
    whole, _, places = text.partition(".")
    if whole not in ("0", "1") or len(places) > 3 or not (places.isdigit() or not places) or not text.isascii():
        return 0.0
    return float(text)
