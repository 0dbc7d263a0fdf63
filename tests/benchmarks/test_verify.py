"""What the benchmark of verifying measures is what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.measures.verify import LENGTH, Case, bare, find_cases, whole
from msgspec import structs

from countermark.core.errors import SignatureInvalid
from countermark.keys.keyring import Key
from countermark.keys.material import new_private, public_of
from countermark.signing.table import DIALECTS


@pytest.fixture(scope="module")
def found() -> tuple[list[Case], list[str]]:
    """Found once: it makes key pairs."""
    return find_cases()


def another(key: Key) -> Key:
    """A key of the same kind that did not sign."""
    other = public_of(key.algorithm, new_private(key.algorithm)) if key.private else bytes(range(100, 132))
    return structs.replace(key, material=other)


def test_every_dialect_is_measured_or_named(found: tuple[list[Case], list[str]]) -> None:
    """A new one appears by itself; one that cannot be minted is told with the reason."""
    cases, left_out = found
    told = sorted([case.name for case in cases] + [line.partition(": ")[0] for line in left_out])
    assert told == sorted(f"{name}, {kind}" for name, one in DIALECTS.items() for kind in one.capabilities.algorithms)
    assert all(line.partition(": ")[2] for line in left_out)
    assert {"native", "keycdn_image", "keycdn_access"} <= {case.dialect for case in cases}


def test_what_is_measured_is_a_long_url_that_its_own_key_opens(found: tuple[list[Case], list[str]]) -> None:
    """Of the length that is promised, and by its signature: with another key it is refused."""
    cases, _ = found
    for case in cases:
        assert whole(case)().dialect == case.dialect
        assert len(case.target) >= LENGTH - 4, case.name
        with pytest.raises(SignatureInvalid):
            whole(replace(case, key=another(case.key)))()


def test_the_primitive_holds_for_what_it_is_given(found: tuple[list[Case], list[str]]) -> None:
    """A public key's primitive raises where the signature is wrong, so that half of the work is never measured."""
    for case in found[0]:
        bare(case)()


def test_the_goals_are_those_of_the_dialects_kind(found: tuple[list[Case], list[str]]) -> None:
    """40 microseconds for our own HMAC, 60 for others' hashes, 200 for ECDSA."""
    bounds = {case.name: case.goal.bound for case in found[0] if case.goal}
    assert bounds.pop("native, hmac-sha256") == 40
    assert bounds["keycdn_image, md5"] == 60
    assert {bound for name, bound in bounds.items() if "ecdsa" in name} <= {200}
