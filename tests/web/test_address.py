"""Addresses as peers and proxies write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.web.address import parse_address, parse_endpoint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:DB8::7", "2001:db8::7"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("0.0.0.0", None),
        ("::", None),
        ("::ffff:0.0.0.0", None),
        ("198.51.100.01", None),
        ("198.51.100.1%eth0", None),
        ("[2001:db8::7]", None),
        ("١٩٨.51.100.1", None),
        ("198.51.100.1:80", None),
        ("", None),
    ],
)
def test_an_address_has_one_meaning(text: str, address: str | None) -> None:
    """Mapped ones are IPv4, zones are dropped, octal-looking and unspecified ones are none."""
    found = parse_address(text)
    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("198.51.100.1:46532", "198.51.100.1"),
        ("2001:db8::7:46532", "2001:db8::7"),
        ("[2001:db8::7]:46532", "2001:db8::7"),
        ("198.51.100.1", None),
        ("198.51.100.1:", None),
        ("198.51.100.1:１", None),
        ("[198.51.100.1:80", None),
    ],
)
def test_an_endpoint_is_split_at_its_last_colon(text: str, address: str | None) -> None:
    """CloudFront writes IPv6 without brackets."""
    found = parse_endpoint(text)
    assert (None if found is None else str(found)) == address


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    """Whatever is written, it is an address or none, and what was read is written back as itself."""
    for read in (parse_address, parse_endpoint):
        found = read(text)
        assert found is None or parse_address(str(found)) == found
