"""Which addresses an origin may have."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from countermark.backends.origins.addresses import AddressRefused, guarded_sockets, parse_networks, permitted
from countermark.core.errors import ConfigurationInvalid

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",  # Azure's wire server
    "169.254.0.1",
    "169.254.169.254",  # metadata of most clouds
    "169.254.170.2",  # Amazon's container credentials
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # Oracle's metadata
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b:1::a00:1",  # local NAT64
    "100::1",
    "2001::7f00:1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # Amazon's metadata
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f000001",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """Loopback, private, link-local, shared, reserved, metadata and every form that hides one of them in IPv6."""
    assert not permitted(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted(address: str) -> None:
    """The neighbours of refused networks are not refused with them."""
    assert permitted(address, ())


def test_an_allowed_network_opens_itself_and_nothing_else() -> None:
    """The exception is as wide as it was written; the mapped form of it is another address."""
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd12::/32"))
    assert permitted("10.1.255.1", allowed)
    assert permitted("fd12::5", allowed)
    assert permitted("8.8.8.8", allowed)
    assert not permitted("10.2.0.1", allowed)
    assert not permitted("::ffff:10.1.0.1", allowed)


def test_a_refused_address_never_gets_a_socket() -> None:
    """The factory raises before anything could be connected."""
    make = guarded_sockets(())
    with pytest.raises(AddressRefused):
        make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80)))
    with make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 80))) as made:
        assert made.family == socket.AF_INET


def test_all_bad_networks_are_told_at_once() -> None:
    """A configuration fault names its place, and no fault hides another."""
    with pytest.raises(ConfigurationInvalid) as raised:
        parse_networks(["10.0.0.0/8", "10.0.0.1/8", "office"], path="origins.photos.allow_networks")
    assert [fault.path for fault in raised.value.faults] == [
        "origins.photos.allow_networks[1]",
        "origins.photos.allow_networks[2]",
    ]
