"""Clients: what their file says, and what of a catalogue they may see."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from countermark.core.catalogue import Catalogue
from countermark.core.errors import ConfigurationInvalid
from countermark.identity.client import Scope
from countermark.identity.clientfile import load_clients

FILE = """
acme:
  networks: [203.0.113.0/24, "2001:db8::/32"]
  scope: {paths: [brands/acme], brands: [acme], barcodes: ["4006381333931"]}
  rate: 2.5
norway:
  disabled: true
"""


def test_a_client_has_networks_scope_and_ceiling() -> None:
    """As they are written; a burst that is not written is one second's worth."""
    clients = load_clients(FILE, file="clients.yaml")
    acme = clients["acme"]
    assert acme.networks is not None
    assert ip_address("203.0.113.9") in acme.networks
    assert ip_address("198.51.100.1") not in acme.networks
    assert acme.scope == Scope(
        paths=("brands/acme",), brands=frozenset({"acme"}), barcodes=frozenset({"4006381333931"})
    )
    assert (acme.rate, acme.burst) == (2.5, 3)
    assert clients["norway"].disabled


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("acme: {netwoks: []}\n", 1, "did you mean 'networks'"),
        ("acme:\n  networks: [10.0.0.1/8]\n", 2, "should be a network such as"),
        ("acme:\n  burst: 3\n", 2, "needs a rate"),
        ("'a b': {}\n", 1, "a client id is"),
        ("acme: {rate: -1}\n", 1, "rate"),
    ],
)
def test_a_fault_names_its_place_and_what_would_be_right(text: str, line: int, says: str) -> None:
    """File, line and remedy."""
    with pytest.raises(ConfigurationInvalid) as invalid:
        load_clients(text, file="clients.yaml")
    assert [(fault.file, fault.line) for fault in invalid.value.faults] == [("clients.yaml", line)]
    assert says in str(invalid.value)


def test_all_faults_are_told_at_once() -> None:
    """Not the first alone."""
    with pytest.raises(ConfigurationInvalid) as invalid:
        load_clients("a: {burst: 1}\nb: {burst: 2}\n", file="clients.yaml")
    assert len(invalid.value.faults) == 2


@pytest.mark.parametrize(
    ("key", "covered"),
    [
        ("brands/acme", True),
        ("brands/acme/a.jpg", True),
        ("brands/acme-secret/a.jpg", False),
        ("brands/other/acme/a.jpg", False),
        ("brands/acm", False),
    ],
)
def test_a_path_covers_whole_segments(key: str, covered: bool) -> None:
    """The neighbour whose name begins alike stays closed."""
    assert Scope(paths=("brands/acme/",)).covers(key, None) is covered


@pytest.mark.parametrize(
    ("scope", "key", "covered"),
    [
        (Scope(barcodes=frozenset({"4006381333931"})), "acme/4006381333931-front.jpg", False),
        (Scope(brands=frozenset({"acme"})), "acme/4006381333931.jpg", True),
        (Scope(brands=frozenset({"acme"})), "other/4006381333931.jpg", False),
        (Scope(brands=frozenset({"acme"})), "acme/deeper/4006381333931.jpg", False),
        (Scope(barcodes=frozenset({"4006381333931"})), "any/4006381333931.jpg", True),
        (Scope(brands=frozenset({"acme"}), barcodes=frozenset({"1"})), "acme/2.jpg", False),
        (Scope(), "whatever", True),
    ],
)
def test_brands_and_barcodes_are_read_from_the_name(scope: Scope, key: str, covered: bool) -> None:
    """Every given kind must match."""
    plain = Catalogue("{brand}/{barcode}.jpg")
    assert scope.covers(key, plain) is covered


def test_a_name_that_the_pattern_does_not_read_is_nobodys() -> None:
    """Fails closed, as does a site without a pattern."""
    scope = Scope(brands=frozenset({"acme"}))
    assert not scope.covers("readme.txt", Catalogue("{brand}/{barcode}.jpg"))
    assert not scope.covers("acme/1.jpg", None)


@pytest.mark.parametrize("pattern", ["plain.jpg", "*/*.jpg", "{brand}/{brand}.jpg"])
def test_a_pattern_without_a_name_or_with_one_twice_is_refused(pattern: str) -> None:
    """It would find nothing, or two things."""
    with pytest.raises(ValueError, match="should have"):
        Catalogue(pattern)
