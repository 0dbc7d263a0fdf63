"""Addresses as peers and proxies write them."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

from countermark.core.request import Address

_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def parse_address(text: str) -> Address | None:
    """An address, IPv4-mapped IPv6 as IPv4 and without zone; None for anything else, and for the unspecified 0.0.0.0 and
    ::."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.scope_id is not None:
            address = IPv6Address(int(address))
    return None if address.is_unspecified else address


def parse_endpoint(text: str) -> Address | None:
    """The address of ADDRESS:PORT, also where an IPv6 address has no brackets, as in CloudFront-Viewer-Address."""
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port):
        return None
    return parse_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
