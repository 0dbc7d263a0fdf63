"""The one escaped spelling of what is signed decoded or in canonical form."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from countermark.core.errors import TargetMalformed

_BYTE = r"(?:[A-Za-z0-9._~-]++|%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-D]|[89A-F][0-9A-F]))"
CANONICAL_QUERY = re.compile(rf"{_BYTE}+={_BYTE}*(?:&{_BYTE}+={_BYTE}*)*")
"""A query that escapes every byte but A-Z a-z 0-9 - . _ ~ as %XX in upper case; each pair has its "="."""

PATH_SAFE = "/~!$&'()*+,;=:@"
"""What a path may hold without escapes (RFC 3986 §3.3)."""


def decoded_path(path: str, *, safe: str = PATH_SAFE) -> str:
    """The path that was signed, decoded once. Raises TargetMalformed where more or less is escaped than must be."""
    decoded = unquote(path)
    # /%61 and /a decode to the same signed text: without one spelling a signature would have endless URLs.
    if quote(decoded, safe=safe) != path:
        raise TargetMalformed("Escape in the path only what must be escaped, in upper case.", rule="path-spelling")
    return decoded
