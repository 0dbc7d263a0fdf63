"""Sets of networks answer as the networks themselves would."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.networks import NetworkSet

NETWORKS_4 = st.builds(
    lambda number, length: ip_network((number, length), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)
)
NETWORKS_6 = st.builds(
    lambda number, length: ip_network((number, length), strict=False), st.integers(0, 2**128 - 1), st.integers(0, 128)
)


@given(networks=st.lists(NETWORKS_4 | NETWORKS_6, max_size=12), data=st.data())
def test_it_holds_what_one_of_its_networks_holds(networks, data):
    """Membership is the union of the networks, at their edges and one address beyond them, too."""
    held = NetworkSet(networks)
    edges = [int(n[0]) for n in networks] + [int(n[-1]) for n in networks] + [0]
    number = data.draw(st.sampled_from(edges)) + data.draw(st.integers(-1, 1))
    for kind, bits in ((IPv4Address, 32), (IPv6Address, 128)):
        if not 0 <= number < 2**bits:
            continue
        address = kind(number)
        assert (address in held) == any(n.version == address.version and address in n for n in networks)


@given(networks=st.lists(NETWORKS_4 | NETWORKS_6, max_size=8), other=NETWORKS_4 | NETWORKS_6)
def test_it_overlaps_and_covers_as_its_networks_do(networks, other):
    """A network is met where one of the set has an address of it, and covered where none of it is missing."""
    held = NetworkSet(networks)
    assert held.overlaps(other) == any(n.version == other.version and n.overlaps(other) for n in networks)
    assert held.covers(other) == (NetworkSet([*networks, other]) == held)


def test_an_empty_set_holds_nobody():
    """Without networks nothing is inside, and its length says so."""
    assert ip_address("0.0.0.0") not in NetworkSet()
    assert not NetworkSet()


def test_networks_that_touch_become_one_range():
    """Order, overlap and doubling do not matter, and equal sets are equal."""
    held = NetworkSet(map(ip_network, ("10.0.1.0/24", "10.0.0.0/24", "10.0.0.7", "2001:db8::/32")))
    assert len(held) == 2
    assert held == NetworkSet(map(ip_network, ("10.0.0.0/23", "2001:db8::/32")))


@pytest.mark.parametrize(("v4", "v6"), [("0.0.0.1", "::1"), ("10.1.2.3", "::10.1.2.3")])
def test_the_families_stay_apart(v4, v6):
    """The same number in the other family is another address."""
    held = NetworkSet([ip_network(v4)])
    assert ip_address(v4) in held
    assert ip_address(v6) not in held
