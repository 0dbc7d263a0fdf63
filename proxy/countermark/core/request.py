"""A request as the edge hands it to the front door."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from countermark.core.target import Target

Address = IPv4Address | IPv6Address


class EdgeRequest(Struct, frozen=True, kw_only=True):
    """What came in, before anything is believed.

    `target` is the raw target, parsed once. `host` is lower-case and without port. `client` is the client's address
    after trusted hops (IPv4-mapped IPv6 is already IPv4). `headers` has lower-case names; a repeated field is joined
    by ", ". `received` is wall time in seconds since the epoch. `country` is the client's, as a trusted proxy says (ISO
    3166-1 alpha-2, upper case), "" where nobody does; `region` is the subdivision's code behind the hyphen (ISO 3166-2).
    """

    id: str
    method: str
    target: Target
    host: str
    client: Address
    headers: Mapping[str, str]
    received: float
    country: str = ""
    region: str = ""
