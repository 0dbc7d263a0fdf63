"""The client's address behind trusted proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.web.address import MAX_HOPS, parse_address, resolver

TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1,10.2.3.4 , 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "10.2.3.4, 10.9.9.9", "10.2.3.4"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown, 10.9.9.9", "10.9.9.9"),
        ("10.0.0.1", "198.51.100.1, ", "10.0.0.1"),
        ("10.0.0.1", "0.0.0.0", "10.0.0.1"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:ffff::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.1:8080", "10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_of_ours_is_the_client(peer: str, forwarded: str, client: str) -> None:
    """Read right to left, stopping at the first stranger and before the first thing that is no address."""
    assert resolver(TRUSTED)(peer, forwarded).text == client


def test_only_a_trusted_peer_is_told_trusted() -> None:
    """Headers of others, such as X-Request-ID, are not believed."""
    resolve = resolver(TRUSTED)
    assert resolve("10.0.0.1", "198.51.100.1").trusted
    assert not resolve("198.51.100.1", "10.0.0.1").trusted


def test_the_walk_is_bounded() -> None:
    """A list of thousands of our own addresses is not walked to its end."""
    forwarded = ",".join(["198.51.100.1", *["10.1.1.1"] * (MAX_HOPS + 5)])
    assert resolver(TRUSTED)("10.0.0.1", forwarded).text == "10.1.1.1"


@given(st.text(max_size=200))
def test_no_forwarded_text_raises(forwarded: str) -> None:
    """Whatever stands in the header, there is an answer, and it is an address."""
    assert parse_address(resolver(TRUSTED)("10.0.0.1", forwarded).text) is not None
