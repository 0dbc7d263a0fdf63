"""Which addresses an origin may have. Everything that is not plainly public is refused (SSRF).

The check stands where the socket is made: there every name, literal, redirect and second DNS answer has become the very
address that is connected to, so that rebinding or another spelling cannot slip past it.
Source of the table: the IANA special-purpose address registries (RFC 6890 and its updates), IPv6 global unicast RFC 4291.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from typing import Any

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.core.grant import Network

AddrInfo = tuple[int, int, int, str, Any]

_REFUSED_V4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux connects it to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep metadata and control planes in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server: metadata behind a public-looking address
        "169.254.0.0/16",  # link-local with the usual metadata address
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

# Only global unicast is public. Mapped, compatible, NAT64, unique local, link-local and multicast all lie outside it.
_PUBLIC_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID, benchmarking and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries any IPv4 address inside
        "3ffe::/16",
        "3fff::/20",
    )
)


class AddressRefused(OSError):
    """Raised while a socket is made; an OSError, because the connector lets only those pass in order.

    Its text is always the same: several refused addresses of one name then stay one error of this class.
    """

    def __init__(self) -> None:
        super().__init__("not an address that this origin may have")


def parse_networks(texts: Iterable[str], *, path: str) -> tuple[Network, ...]:
    """Networks such as `10.0.0.0/8`. Raises ConfigurationInvalid with all faults; `path` is the setting's place."""
    networks: list[Network] = []
    faults: list[Fault] = []
    for index, text in enumerate(texts):
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            faults.append(Fault(path=f"{path}[{index}]", message=f"{error}; write it like 10.0.0.0/8"))
    if faults:
        raise ConfigurationInvalid(faults)
    return tuple(networks)


def permitted(address: str, allowed: tuple[Network, ...]) -> bool:
    """Whether a numeric address may be connected to: it is public or inside one of the `allowed` networks."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if any(parsed in network for network in allowed):
        return True
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _REFUSED_V4)
    return parsed in _PUBLIC_V6 and not any(parsed in network for network in _REFUSED_V6)


def guarded_sockets(allowed: tuple[Network, ...]) -> Callable[[AddrInfo], socket.socket]:
    """A socket factory for aiohttp's connector that raises AddressRefused instead of making a forbidden connection."""

    def make(info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not permitted(str(address[0]), allowed):
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    return make
