"""Hops that cannot hold, each with the sentence that says what to write."""

from __future__ import annotations

import pytest

from countermark.core.errors import ConfigurationInvalid
from countermark.settings.load import load

NAMED = "networks: [10.0.0.0/8]"
SECRET = "secret_header: X-Edge, secret: 0123456789abcdef"
PRINT = "a" * 64


def faults(server: str, rest: str = "") -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        load(f"server: {{ {server} }}\n{rest}")
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


@pytest.mark.parametrize(
    "hop",
    [
        NAMED,
        f"{NAMED}, through: [192.0.2.0/24], address: Forwarded",
        f"{NAMED}, count: 2, country: google, country_header: X-Geo, region_header: X-Part",
        f"networks: [192.0.2.0/24], {SECRET}, next_secret: fedcba9876543210, address: CF-Connecting-IP",
        f"{NAMED}, client_certificates: ['{PRINT}', '{':'.join(['0F'] * 32)}']",
        "signed: true, address: CF-Connecting-IP, country: cloudflare",
        "networks: [8.8.8.8], address: X-Real-IP",
    ],
)
def test_these_are_good(hop: str) -> None:
    """The forms of the documentation."""
    assert load(f"server: {{ hops: {{ edge: {{ {hop} }} }} }}").server.hops["edge"]


@pytest.mark.parametrize(
    ("hop", "path", "says"),
    [
        ("address: X-Real-IP", "networks", "are missing"),
        ("networks: [10.0.0.1/8]", "networks[0]", "should be a network"),
        (f"{NAMED}, through: [x]", "through[0]", "should be a network"),
        (f"{NAMED}, secret: 0123456789abcdef", "", "given together"),
        (f"{NAMED}, secret_header: X-Edge", "", "given together"),
        (f"{NAMED}, secret_header: 'X Edge', secret: 0123456789abcdef", "secret_header", "no header name"),
        (f"{NAMED}, secret_header: X-Edge, secret: short", "secret", "15 printable"),
        (f"{NAMED}, next_secret: 0123456789abcdef", "next_secret", "no first one"),
        (f"{NAMED}, client_certificates: [abc]", "client_certificates[0]", "64 hexadecimal digits"),
        (f"{NAMED}, client_certificates: ['{PRINT}'], client_authorities: a.pem", "client_authorities", "in place of"),
        (f"signed: true, client_certificates: ['{PRINT}']", "networks", "TLS terminator"),
        (f"{NAMED}, address: proxy-protocol", "address", "server.proxy_protocol"),
        (f"{NAMED}, address: X-Real-IP, count: 1", "count", "is for address"),
        (f"{NAMED}, address: X-Real-IP, through: [10.0.0.0/8]", "through", "is for address"),
        (f"{NAMED}, through: [10.0.0.0/8], count: 1", "count", "one of them"),
        (f"{NAMED}, country: fastly", "country_header", "you name the header yourself"),
        (f"{NAMED}, country: cloudflare, country_header: X-Geo", "country_header", "is for country"),
        (f"{NAMED}, country: header, country_header: 'a b'", "country_header", "no header name"),
        (f"{NAMED}, region_header: X-Part", "region_header", "is for country"),
        (f"{NAMED}, country: mmdb", "country", "geo.database names no file"),
        ("networks: [192.88.99.0/24], country: cloudflare", "", "those of every customer"),
        ("networks: [8.8.8.0/24, 10.0.0.0/8], address: CF-Connecting-IP", "", "those of every customer"),
        (f"{NAMED}, adress: X-Real-IP", "adress", "did you mean 'address'"),
    ],
)
def test_a_hop_that_cannot_hold_is_refused(hop: str, path: str, says: str) -> None:
    """At its own place, once."""
    (fault,) = faults(f"hops: {{ edge: {{ {hop} }} }}")
    assert fault.startswith(f"server.hops.edge{path and '.'}{path}: ")
    assert says in fault


def test_both_forms_at_once_are_refused() -> None:
    """And what to write instead is said in full."""
    found = faults(f"trusted_proxies: [10.0.0.0/8], country_header: X-Geo, hops: {{ edge: {{ {NAMED} }} }}")
    assert "write it as server.hops.NAME: {networks: [...], address: X-Forwarded-For}" in found[0]
    assert "country: header, country_header: X-Geo" in found[1]


def test_a_secret_is_not_shown() -> None:
    """Neither in a fault nor in the settings' own text."""
    settings = load(f"server: {{ hops: {{ edge: {{ {NAMED}, {SECRET} }} }} }}")
    assert "0123456789abcdef" not in repr(settings)
    assert "hunter2" not in "".join(faults(f"hops: {{ edge: {{ {NAMED}, secret_header: X-Edge, secret: hunter2 }} }}"))


def test_a_secret_may_come_from_the_environment() -> None:
    """Also for a hop with a hyphen in its name, and so from a file."""
    hop = f"{{ {NAMED}, secret_header: X-Edge, secret: 0123456789abcdef }}"
    environ = {"COUNTERMARK_SERVER__HOPS__MY_EDGE__SECRET": "fedcba9876543210"}
    settings = load(f"server: {{ hops: {{ my-edge: {hop} }} }}", environ=environ)
    assert settings.server.hops["my-edge"].secret == "fedcba9876543210"
