"""Whoever changes a signed URL gets nothing that was not signed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import CountermarkError
from countermark.core.target import parse_target
from countermark.signing.dialect import Realm
from countermark.signing.keycdn import mint_keycdn_access, mint_keycdn_image
from countermark.signing.native import mint_native
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import ACCESS, CLIENT, ED25519, HMAC, IMAGE, KEYRING, LATER, check, realm

NATIVE_TARGET = parse_target("/shop/17/Cat%20One.jpg?w=800&fit=cover&text=a%2Bb%20c")
URLS: dict[str, tuple[str, Realm]] = {
    "native-hmac": (mint_native(NATIVE_TARGET, audience="shop", key=HMAC, expires=LATER), realm()),
    "native-bound": (
        mint_native(NATIVE_TARGET, audience="shop", key=HMAC, expires=LATER, address=ip_network("203.0.113.0/24")),
        realm("native", "keycdn_image", "keycdn_access"),
    ),
    "native-ed25519": (mint_native(NATIVE_TARGET, audience="shop", key=ED25519, expires=LATER), realm()),
    "keycdn_image": (
        mint_keycdn_image(parse_target("/img/17/a.jpg?olwidth=10&width=100&crop=1,2,3,4"), key=IMAGE),
        realm("keycdn_image"),
    ),
    "keycdn_access": (
        mint_keycdn_access(parse_target("/img/17/a.jpg"), key=ACCESS, expires=LATER),
        realm("keycdn_access", "keycdn_image"),
    ),
    "keycdn_access_ip": (
        mint_keycdn_access(parse_target("/img/17/a.jpg"), key=ACCESS, expires=LATER, address=CLIENT),
        realm("keycdn_access", keycdn_ip=True),
    ),
}


@pytest.mark.parametrize("name", URLS)
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(name: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    url, where = URLS[name]
    opens_nothing_else(url, where, KEYRING, data)


@pytest.mark.parametrize("name", ["native-bound", "keycdn_access_ip"])
@given(client=st.ip_addresses())
def test_another_caller_opens_nothing(name: str, client: object) -> None:
    """A bound URL is refused from every address that it does not name."""
    url, where = URLS[name]
    bound = ip_network("203.0.113.0/24") if name == "native-bound" else ip_network(CLIENT)
    if client in bound:
        return
    with pytest.raises(CountermarkError):
        check(url, where, client=str(client))


@pytest.mark.parametrize("name", URLS)
def test_no_single_bit_of_a_signature_is_spare(name: str) -> None:
    """Each of its characters counts, the last one's unused bits included."""
    url, where = URLS[name]
    mark = "sig=" if "sig=" in url else "token="
    start = url.index(mark) + len(mark)
    end = len(url) if "&" not in url[start:] else url.index("&", start)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at in range(start, end):
        for bit in range(6):
            other = alphabet[alphabet.index(url[at]) ^ (1 << bit)]
            with pytest.raises(CountermarkError):
                check(url[:at] + other + url[at + 1 :], where)
