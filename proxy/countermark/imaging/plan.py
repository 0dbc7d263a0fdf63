"""From what was granted to what will be made: the plan and its cache key."""

from __future__ import annotations

from msgspec import Struct

from countermark.imaging.operations import Recipe


class Plan(Struct, frozen=True, kw_only=True):
    """One rendition to obtain.

    recipe        None streams the original untouched
    key           32 bytes: SHA-256 over site-independent identity (origin, object key, recipe); no signature in it, so
                  that every signature of the same picture shares one cached result
    vary_accept   whether another Accept header could have led to another plan
    """

    origin: str
    object_key: str
    recipe: Recipe | None
    key: bytes
    vary_accept: bool
