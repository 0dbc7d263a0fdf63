"""The file of admin tokens: hashes, roles, sites, dates, and every fault with its place."""

from __future__ import annotations

from typing import get_args

import pytest

from countermark.core.errors import ConfigurationInvalid
from countermark.settings.tokens import ROLES, AdminToken, Role, load_tokens, render_token

HASH = "0" * 64
GOOD = f"{{ sha256: '{HASH}', name: a, roles: [viewer] }}"


def test_what_is_written_is_read() -> None:
    """With its defaults: every site, and for ever."""
    tokens = (
        AdminToken(name="ci", sha256=HASH, roles=("issuer", "viewer"), sites=("shop", "press"), expires=1_800_000_000),
        AdminToken(name="on-call@example", sha256="1" * 64, roles=("admin",)),
    )
    assert load_tokens("".join(map(render_token, tokens)), file="tokens.yaml") == tokens


@pytest.mark.parametrize("text", ["", "# nobody yet\n", "[]\n"])
def test_an_empty_file_lets_nobody_in(text: str) -> None:
    """It is right, and has no tokens."""
    assert load_tokens(text, file="tokens.yaml") == ()


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (f"{{ sha256: {HASH}x, name: a, roles: [viewer] }}", "[0].sha256"),
        (f"{{ sha256: '{HASH}', name: 'a b', roles: [viewer] }}", "[0].name"),
        (f"{{ sha256: '{HASH}', name: a, roles: [root] }}", "[0].roles[0]"),
        (f"{{ sha256: '{HASH}', name: a, roles: [] }}", "[0].roles"),
        (f"{{ sha256: '{HASH}', name: a }}", "[0].roles"),
        (f"{{ sha256: '{HASH}', name: a, roles: [viewer], sites: [] }}", "[0].sites"),
        (f"{{ sha256: '{HASH}', name: a, roles: [viewer], expires: soon }}", "[0].expires"),
        (f"{{ sha256: '{HASH}', name: a, roles: [viewer], role: admin }}", "[0].role"),
        (f"{GOOD}\n- {{ sha256: '{HASH}', name: b, roles: [viewer] }}", "[1].sha256"),
        (f"{GOOD}\n- {{ sha256: '{'1' * 64}', name: a, roles: [viewer] }}", "[1].name"),
    ],
)
def test_a_fault_is_told_with_its_place(entry: str, path: str) -> None:
    """And the gateway keeps its old tokens: no entry is ever read half."""
    with pytest.raises(ConfigurationInvalid) as caught:
        load_tokens(f"- {entry}\n", file="tokens.yaml")
    assert path in [fault.path for fault in caught.value.faults]
    assert all(fault.file == "tokens.yaml" and fault.line for fault in caught.value.faults)


def test_no_fault_quotes_what_may_be_a_token() -> None:
    """Whoever writes the token itself where its hash belongs does not find it in the log."""
    with pytest.raises(ConfigurationInvalid) as caught:
        load_tokens("- { name: a, sha256: cmadm_secret, roles: [viewer] }\n", file="tokens.yaml")
    assert "cmadm_secret" not in str(caught.value)


def test_every_role_is_described() -> None:
    """For the page, and for whoever asks."""
    assert set(ROLES) == set(get_args(Role))
