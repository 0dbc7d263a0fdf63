"""Surrogate keys: the tags by which a CDN finds every kept answer that stands on something which was taken back.

Each is a letter, a hyphen and 16 hexadecimal digits, so that no name of a client or an object leaks into headers and
every vendor takes it (letters, digits and hyphens, 18 characters).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from msgspec import Struct

from countermark.core.grant import Grant
from countermark.identity.revocation import Kind


class TagField(Struct, frozen=True):
    """The header field in which a CDN takes surrogate keys, and what stands between two of them."""

    name: str
    separator: str


Standing = Literal["object", "key", "client", "template", "session", "user", "site"]

_LETTERS: dict[Standing, str] = {
    "object": "o", "key": "k", "client": "c", "template": "t", "session": "s", "user": "u", "site": "p",
}  # fmt: skip
_OF_KIND: dict[Kind, Standing] = {
    "key": "key", "client": "client", "template": "template", "session": "session", "user": "user",
}  # fmt: skip


def tag(standing: Standing, value: str) -> str:
    """One tag; `value` is the name, for an object SITE:KEY."""
    return f"{_LETTERS[standing]}-{sha256(value.encode()).hexdigest()[:16]}"


def tags(grant: Grant, *, template: str) -> tuple[str, ...]:
    """The tags of an answer, seven at most."""
    claims = grant.claims
    named: list[tuple[Standing, str]] = [
        ("object", f"{grant.site}:{grant.object_key}"),
        ("site", grant.site),
        ("key", claims.key_id),
        ("client", claims.client_id),
        ("template", template),
        ("session", claims.session),
        ("user", claims.user),
    ]
    return tuple(tag(standing, value) for standing, value in named if value)


def tag_of(kind: Kind, value: str) -> str | None:
    """The tag under which everything that a revocation means is kept; None for grants and jtis, which have none of their
    own. A path has that of its site, which holds more than it means: too much is purged rather than too little."""
    if kind == "path":
        return tag("site", value.partition(":")[0])
    standing = _OF_KIND.get(kind)
    return None if standing is None else tag(standing, value)


def located(surrogate: str) -> bool:
    """Whether what carries this tag lies below one URL, as an object and a site do, and a key's or a user's pictures do not."""
    return surrogate.startswith((f"{_LETTERS['object']}-", f"{_LETTERS['site']}-"))
