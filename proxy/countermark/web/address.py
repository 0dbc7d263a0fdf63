"""Whose request it is: the client's address behind proxies that we trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from countermark.core.grant import Network
from countermark.core.request import Address

# Far more proxies than stand in any real chain; it bounds what one header can cost.
MAX_HOPS = 32
_REMEMBERED = 4096


def parse_address(text: str) -> Address | None:
    """An address, IPv4-mapped IPv6 as IPv4; None for anything else, and for the unspecified 0.0.0.0 and ::."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return None if address.is_unspecified else address


class Client:
    """An address with its text, and whether it is one of our proxies."""

    __slots__ = ("address", "text", "trusted")

    def __init__(self, address: Address, *, trusted: bool) -> None:
        self.address = address
        self.text = str(address)
        self.trusted = trusted


Resolve = Callable[[str, str], Client]


def resolver(trusted_proxies: Iterable[str]) -> Resolve:
    """A function from socket peer and joined X-Forwarded-For ("" where absent) to the client.

    The walk goes right to left, because only the right end was written by proxies that we trust; the first address
    that is none of theirs is the client. An element that is no address ends the walk at the last trusted hop: what
    stands left of it is anybody's invention. `trusted` of the result says whether the *peer* is a proxy of ours.
    """
    networks: tuple[Network, ...] = tuple(ip_network(text) for text in trusted_proxies)

    def is_trusted(address: Address) -> bool:
        return any(address in network for network in networks)

    @lru_cache(_REMEMBERED)
    def resolve(peer: str, forwarded: str) -> Client:
        address = parse_address(peer)
        if address is None:
            raise ValueError(f"not an address of a socket: {peer!r}")
        if not is_trusted(address):
            return Client(address, trusted=False)
        for element in reversed(forwarded.split(",")[-MAX_HOPS:]):
            hop = parse_address(element.strip())
            if hop is None:
                break
            address = hop
            if not is_trusted(hop):
                break
        return Client(address, trusted=True)

    return resolve
