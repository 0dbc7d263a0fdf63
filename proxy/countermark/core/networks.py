"""Many networks as one set of addresses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from countermark.core.grant import Network
from countermark.core.request import Address


class NetworkSet:
    """The addresses of all the given networks, IPv4 and IPv6 apart.

    Networks that overlap or touch are merged, so that one bisection answers, however many were given. `len` counts the
    ranges that remain. An IPv4 address written as IPv6 (::ffff:0:0/96) is not an IPv4 address here: `EdgeRequest.client`
    holds none.
    """

    __slots__ = ("_ranges",)

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = list(networks)
        self._ranges = {version: _merged(n for n in given if n.version == version) for version in (4, 6)}

    def __contains__(self, address: Address) -> bool:
        firsts, lasts = self._ranges[address.version]
        number = int(address)
        index = bisect_right(firsts, number) - 1
        return index >= 0 and number <= lasts[index]

    def overlaps(self, network: Network) -> bool:
        """Whether an address of this network is in the set."""
        firsts, lasts = self._ranges[network.version]
        first, last = _span(network)
        index = bisect_right(firsts, last) - 1
        return index >= 0 and first <= lasts[index]

    def covers(self, network: Network) -> bool:
        """Whether all addresses of this network are in the set."""
        firsts, lasts = self._ranges[network.version]
        first, last = _span(network)
        index = bisect_right(firsts, first) - 1
        return index >= 0 and last <= lasts[index]

    def __len__(self) -> int:
        return sum(len(firsts) for firsts, _ in self._ranges.values())

    def __eq__(self, other: object) -> bool:
        return self._ranges == other._ranges if isinstance(other, NetworkSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._ranges.values()))

    def __repr__(self) -> str:
        return f"<NetworkSet of {len(self)} ranges>"


def _merged(networks: Iterable[Network]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last addresses of the disjoint ranges, both in ascending order."""
    firsts: list[int] = []
    lasts: list[int] = []
    for first, last in sorted(map(_span, networks)):
        if lasts and first <= lasts[-1] + 1:
            lasts[-1] = max(lasts[-1], last)
            continue
        firsts.append(first)
        lasts.append(last)
    return tuple(firsts), tuple(lasts)


def _span(network: Network) -> tuple[int, int]:
    first = int(network.network_address)
    return first, first + network.num_addresses - 1
