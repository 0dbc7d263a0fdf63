"""Clients: to whom URLs are issued, and what they may see."""

from __future__ import annotations

from msgspec import Struct

from countermark.core.grant import Network


class Scope(Struct, frozen=True, kw_only=True):
    """What of a site's catalogue a client may see; every given kind must match, and none given is everything.

    paths      prefixes of object keys, each ending at a segment's end
    brands, barcodes   values of the site's catalogue pattern
    """

    paths: tuple[str, ...] = ()
    brands: frozenset[str] = frozenset()
    barcodes: frozenset[str] = frozenset()


class Client(Struct, frozen=True, kw_only=True):
    """One registered client: the networks it may come from (none: any), its scope, its ceiling in requests a second."""

    id: str
    disabled: bool = False
    networks: tuple[Network, ...] = ()
    scope: Scope = Scope()
    rate: float | None = None
    burst: int = 1
