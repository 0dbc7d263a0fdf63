"""Texts that are signed decoded, held to one escaped spelling."""

from __future__ import annotations

from urllib.parse import quote, unquote

from countermark.core.errors import TargetMalformed

PATH_SAFE = "/~!$&'()*+,;=:@"
"""What a path may hold without escapes (RFC 3986 §3.3)."""


def decoded_path(path: str, *, safe: str = PATH_SAFE) -> str:
    """The path that was signed, decoded once. Raises TargetMalformed where more or less is escaped than must be."""
    decoded = unquote(path)
    # /%61 and /a decode to the same signed text: without one spelling a signature would have endless URLs.
    if quote(decoded, safe=safe) != path:
        raise TargetMalformed("Escape in the path only what must be escaped, in upper case.", rule="path-spelling")
    return decoded
