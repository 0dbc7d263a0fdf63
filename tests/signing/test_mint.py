"""Minted URLs are those that the dialects read."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.core.encoding import base64url
from countermark.core.errors import ConfigurationInvalid, ParameterInvalid, TargetMalformed
from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.expiry import quantised
from countermark.signing.keycdn import mint_keycdn_access, mint_keycdn_image
from countermark.signing.native import message, mint_native
from countermark.signing.primitives import sign
from tests.signing.scene import ACCESS, ED25519, HMAC, IMAGE, LATER, NOW, check, realm

PIECES = st.text(alphabet="abz09-._~%20%2B%C3%A9+!'()*,;:@/?$[]{}|^`\"<>=", max_size=12)


@pytest.mark.parametrize("key", [HMAC, ED25519])
@given(path=PIECES, value=PIECES)
def test_any_operation_survives_signing(key: Key, path: str, value: str) -> None:
    """Whatever a target may hold, in whatever escaping, is signed canonically and read back the same."""
    try:
        target = parse_target(f"/a{path}?op={value}&w=1")
    except TargetMalformed:
        return
    claims = check(mint_native(target, audience="shop", key=key, expires=LATER), realm())
    assert claims.path == target.path
    assert {(pair.name, pair.value) for pair in claims.pairs} == {(pair.name, pair.value) for pair in target.pairs}


def test_the_same_picture_has_the_same_url() -> None:
    """The order and the escaping in which operations were given leave no trace."""
    one = mint_native(parse_target("/a?w=1&text=a%2cb"), audience="shop", key=HMAC, expires=LATER)
    other = mint_native(parse_target("/a?text=a,b&w=1"), audience="shop", key=HMAC, expires=LATER)
    assert one == other


@pytest.mark.parametrize(
    "network", ["203.0.113.7/32", "203.0.113.0/24", "2001:db8::/56", "2001:db8::1/128", "0.0.0.0/0"]
)
def test_bound_networks_are_read_back(network: str) -> None:
    """IPv4 and IPv6, single addresses and networks."""
    bound: IPv4Network | IPv6Network = ip_network(network)
    target = mint_native(parse_target("/a"), audience="shop", key=HMAC, expires=LATER, address=bound)
    assert check(target, realm(), client=str(bound.network_address)).address == bound


@pytest.mark.parametrize(
    "spelling",
    ["203.0.113.7%2F24", "203.0.113.0%2F255.255.255.0", "203.000.113.007", "3405803783", "2001%3ADB8%3A%3A1"]
    + [
        "%3A%3Affff%3A203.0.113.7",
        "%3A%3Affff%3Acb00%3A7107",
        "fe80%3A%3A1%25eth0",
        "localhost",
        "203.0.113.7%2F33",
        "",
    ],
)
def test_an_address_has_one_spelling(spelling: str) -> None:
    """Host bits, masks, octal, numbers, zones and mapped addresses are refused, though they are signed."""
    pairs = parse_target(f"/a?ip={spelling}&exp={LATER}&kid=k1").pairs

    signature = base64url(sign(HMAC, message("shop", "/a", pairs)))
    with pytest.raises(ParameterInvalid):
        check(f"/a?ip={spelling}&exp={LATER}&kid=k1&sig={signature}", realm())


def test_a_key_without_its_private_half_cannot_sign() -> None:
    """A gateway that holds public keys only can mint nothing."""
    with pytest.raises(ConfigurationInvalid):
        mint_native(parse_target("/a"), audience="shop", key=replace(ED25519, private=b""), expires=LATER)


@pytest.mark.parametrize("name", ["sig", "exp", "kid", "nbf", "ip"])
def test_what_the_signer_writes_is_not_given_to_it(name: str) -> None:
    """A signed URL is not signed again by mistake."""
    with pytest.raises(ParameterInvalid):
        mint_native(parse_target(f"/a?{name}=1"), audience="shop", key=HMAC, expires=LATER)


def test_keycdn_urls_need_what_they_sign() -> None:
    """Operations for the image mode, none for access control."""
    with pytest.raises(ParameterInvalid):
        mint_keycdn_image(parse_target("/a.jpg"), key=IMAGE)
    with pytest.raises(ParameterInvalid):
        mint_keycdn_access(parse_target("/a.jpg?width=1"), key=ACCESS, expires=LATER)


def test_keycdn_urls_are_read_back() -> None:
    """Both modes, the second with an address too."""
    image = mint_keycdn_image(parse_target("/a.jpg?olurl=https://x.example/l.png&olx=1"), key=IMAGE)
    assert check(image, realm("keycdn_image")).pairs[0].value == "https://x.example/l.png"
    address = ip_address("2001:db8::7")
    bound = mint_keycdn_access(parse_target("/a.jpg"), key=ACCESS, expires=LATER, address=str(address))
    assert check(bound, realm("keycdn_access", keycdn_ip=True), client="2001:db8::7").expires == LATER


@given(now=st.floats(min_value=1.6e9, max_value=3e9), life=st.integers(min_value=1, max_value=366 * 86_400))
def test_a_quantised_expiry_is_never_later_than_asked(now: float, life: int) -> None:
    """And at least three quarters of it, but for a second."""
    expires = quantised(now, life)
    assert now + life * 3 / 4 - 1 <= expires <= now + life


def test_a_quantised_expiry_stays_for_a_quarter_of_its_life() -> None:
    """So many who ask within it get the same URL."""
    assert len({quantised(NOW + second, 3600) for second in range(900)}) <= 2
