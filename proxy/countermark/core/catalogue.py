"""Where the brand and the barcode of a picture stand in its object key."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{(brand|barcode)\}|(\*)")


class Catalogue:
    """Finds brand and barcode in an object key, by a pattern such as {brand}/{barcode}/*.jpg.

    {brand}, {barcode} and * each stand for a part of one path segment. Raises ValueError for a pattern with neither name, or
    with one of them twice.
    """

    def __init__(self, pattern: str) -> None:
        names = [match[1] for match in _PLACE.finditer(pattern) if match[1]]
        if not names or len(names) != len(set(names)):
            raise ValueError("should have {brand} or {barcode}, each at most once, such as {brand}/{barcode}.jpg")
        self._pattern = re.compile(_expression(pattern))

    def read(self, object_key: str) -> Mapping[str, str]:
        """The names that the key has; none where the pattern does not fit it."""
        match = self._pattern.fullmatch(object_key)
        return match.groupdict() if match else {}


def _expression(pattern: str) -> str:
    parts, end = [], 0
    for match in _PLACE.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        parts.append(f"(?P<{match[1]}>[^/]+)" if match[1] else "[^/]*")
        end = match.end()
    return "".join([*parts, re.escape(pattern[end:])])
