"""The client's address behind proxies that we trust."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import Malformed
from countermark.web.forwarding import MAX_HOPS, client_behind, read_forwarded
from countermark.web.hops import network_set

OURS = network_set(("10.0.0.0/8", "2001:db8:ffff::/48"))
HOP = ip_address("10.0.0.1")
SINGLE = ("cf-connecting-ip", "true-client-ip", "fastly-client-ip", "fly-client-ip", "x-real-ip", "x-azure-socketip")


def client(field: str, text: str, *, count: int = 0) -> str:
    return str(client_behind(HOP, field, text, ours=OURS, count=count))


@pytest.mark.parametrize(
    ("forwarded", "behind"),
    [
        ("", "10.0.0.1"),
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("198.51.100.1,10.2.3.4 , 10.9.9.9", "198.51.100.1"),
        ("10.2.3.4, 10.9.9.9", "10.2.3.4"),
        ("198.51.100.1, unknown", "10.0.0.1"),
        ("198.51.100.1, unknown, 10.9.9.9", "10.9.9.9"),
        ("198.51.100.1, ", "10.0.0.1"),
        ("0.0.0.0", "10.0.0.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8::7, 2001:db8:ffff::3", "2001:db8::7"),
        ("198.51.100.1:8080", "10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_of_ours_is_the_client(forwarded: str, behind: str) -> None:
    """Read right to left, stopping at the first stranger and before the first thing that is no address."""
    assert client("x-forwarded-for", forwarded) == behind


@pytest.mark.parametrize(
    ("forwarded", "behind"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="198.51.100.1:4711";proto=https;by=10.0.0.1', "198.51.100.1"),
        ('for="[2001:db8::7]:443"', "2001:db8::7"),
        ('for="[2001:db8::7]:_port"', "2001:db8::7"),
        ('for="1\\98.51.100.1"', "198.51.100.1"),
        ("for=203.0.113.9, for=198.51.100.1, for=10.2.3.4", "198.51.100.1"),
        ('for="_a, for=203.0.113.9", for=198.51.100.1', "198.51.100.1"),
        ("for=203.0.113.9 ; proto=http ,, for=10.2.3.4 ,", "203.0.113.9"),
        ("for=198.51.100.1, for=_hidden", "10.0.0.1"),
        ("for=198.51.100.1, for=unknown, for=10.2.3.4", "10.2.3.4"),
        ("for=198.51.100.1, proto=https", "10.0.0.1"),
        ('for="2001:db8::7"', "10.0.0.1"),
        ('for="[198.51.100.1]"', "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_like_x_forwarded_for(forwarded: str, behind: str) -> None:
    """RFC 7239: quoted strings, ports, obfuscated identifiers and `unknown`; other parameters are nothing to us."""
    assert client("forwarded", forwarded) == behind


@pytest.mark.parametrize(
    "forwarded",
    [
        'for="203.0.113.9, for=198.51.100.1',
        "for=[2001:db8::7]",
        "for=198.51.100.1:80",
        "for = 198.51.100.1",
        "for=203.0.113.9;for=198.51.100.1",
        "198.51.100.1",
        "for=198.51.100.1\udcff",
    ],
)
def test_an_open_quote_of_a_viewer_does_not_swallow_our_proxys_word(forwarded: str) -> None:
    """What is not well-formed Forwarded is refused as a whole, never read by half."""
    with pytest.raises(Malformed):
        client("forwarded", forwarded)


def test_a_counted_place_is_the_client() -> None:
    """Google writes the client and its own address behind what the viewer sent; neither can be moved from there."""
    assert client("x-forwarded-for", "10.6.6.6, 198.51.100.1, 203.0.113.80", count=2) == "198.51.100.1"
    assert client("forwarded", "for=192.0.2.1, for=198.51.100.1", count=1) == "198.51.100.1"


@pytest.mark.parametrize("forwarded", ["", "198.51.100.1", "unknown, 203.0.113.80"])
def test_a_list_that_is_too_short_for_its_count_names_nobody(forwarded: str) -> None:
    """Somebody has left a proxy out; the wrong one is not taken in its stead."""
    with pytest.raises(Malformed):
        client("x-forwarded-for", forwarded, count=2)


@pytest.mark.parametrize("field", SINGLE)
def test_a_field_for_one_address_names_one_client(field: str) -> None:
    """Repeated, a list, absent, or no address: refused, never guessed."""
    assert client(field, "2001:db8::7") == "2001:db8::7"
    for text in ("", "198.51.100.1, 203.0.113.9", "198.51.100.1,", "unknown", "0.0.0.0", "198.51.100.1:80"):
        with pytest.raises(Malformed):
            client(field, text)


def test_cloudfront_names_address_and_port() -> None:
    """Split at the last colon."""
    assert client("cloudfront-viewer-address", "2001:db8::7:443") == "2001:db8::7"
    with pytest.raises(Malformed):
        client("cloudfront-viewer-address", "198.51.100.1")


@pytest.mark.parametrize("one", ["10.1.1.1", "for=10.1.1.1"])
def test_the_walk_is_bounded(one: str) -> None:
    """A list of thousands of our own addresses is not walked to its end."""
    field = "forwarded" if "=" in one else "x-forwarded-for"
    first = one.replace("10.1.1.1", "198.51.100.1")
    assert client(field, ",".join([first, *[one] * (MAX_HOPS + 5)])) == "10.1.1.1"


FORWARDED = st.lists(
    st.sampled_from(["for=", "For", "=", '"', "\\", ";", ",", " ", "\t", "[", "]", ":", "_a", "198.51.100.1", "::1"]),
    max_size=40,
).map("".join)


@given(st.text(max_size=200) | FORWARDED)
def test_no_text_raises_outside_of_the_tree(text: str) -> None:
    """Whatever stands in the header, there is an address, or the request is malformed."""
    for field in ("x-forwarded-for", "forwarded", "x-real-ip", "cloudfront-viewer-address"):
        try:
            assert ip_address(client(field, text))
        except Malformed:
            assert field != "x-forwarded-for"


@given(st.lists(st.ip_addresses().filter(lambda address: int(address) and not getattr(address, "ipv4_mapped", None))))
def test_forwarded_gives_back_what_was_written(addresses: list) -> None:
    """Every address in its one right spelling."""
    nodes = [f'for="[{address}]"' if address.version == 6 else f"for={address}" for address in addresses]
    assert read_forwarded(", ".join(nodes)) == addresses[-MAX_HOPS:]
