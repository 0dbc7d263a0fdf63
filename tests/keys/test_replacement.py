"""Changes in the text of a keyring file: what is not touched stays."""

from __future__ import annotations

import pytest

from countermark.core.errors import ConfigurationInvalid
from countermark.keys.keyfile import load
from countermark.keys.replacement import amended, appended, fields, removed
from countermark.signing.table import KEY_USES

A, B, C, D = ("A" * 43, "B" * 42 + "A", "C" * 42 + "A", "D" * 42 + "A")
TEXT = f"""\
# the shop's keys
- id: k1  # the old one
  secret: {A}
  # nobody knows why
  sites:
    - shop  # only it

- {{ id: k2, secret: {B} }}  # short
# and the last
- id: k3
  algorithm: ed25519
  private_pem: |
    PEM
    LINES
"""


def test_a_field_is_set_and_all_else_stays() -> None:
    """In blocks and in braces, new or in the place of what was there."""
    text = amended(TEXT, "k1", {"state": "retiring", "not_after": "2026-01-01T00:00:00Z"})
    expected = "    - shop  # only it\n  state: retiring\n  not_after: 2026-01-01T00:00:00Z\n"
    assert text == TEXT.replace("    - shop  # only it\n", expected)
    assert amended(text, "k1", {"state": "revoked"}) == text.replace("retiring", "revoked")
    assert f"- {{ id: k2, secret: {B}, state: revoked }}  # short" in amended(TEXT, "k2", {"state": "revoked"})


def test_a_field_takes_the_place_of_another() -> None:
    """A sealed text stands where the secret stood, whatever spelling that had."""
    assert TEXT.replace(f"secret: {A}", "sealed: x.y.z") == amended(
        TEXT, "k1", {"sealed": "x.y.z"}, instead={"sealed": "secret"}
    )
    text = amended(TEXT, "k3", {"sealed": "x.y.z"}, instead={"sealed": "private_pem"})
    assert text.endswith("  algorithm: ed25519\n  sealed: x.y.z\n")
    assert fields(text, "k3") == {"id": "k3", "algorithm": "ed25519", "sealed": "x.y.z"}


def test_a_field_follows_a_literal_block() -> None:
    """It stands on a line of its own."""
    assert amended(TEXT, "k3", {"state": "active"}).endswith("    LINES\n  state: active\n")
    text = TEXT + "- id: k4\n"
    assert "    LINES\n  state: active\n- id: k4\n" in amended(text, "k3", {"state": "active"})


def test_an_entry_is_removed_whole() -> None:
    """With what belongs to it, and not with what belongs to the next."""
    assert removed(TEXT, "k1").startswith("# the shop's keys\n\n- { id: k2")
    assert "# nobody knows why" not in removed(TEXT, "k1")
    assert "# and the last\n- id: k3" in removed(TEXT, "k2")
    assert removed(TEXT, "k3").endswith("# and the last\n")


@pytest.mark.parametrize("text", ["", "# none yet", f"- {{ id: k1, secret: {A} }}", f"  - id: k1\n    secret: {A}\n"])
def test_an_entry_is_added_at_the_end(text: str) -> None:
    """In the list's own indentation."""
    added = appended(text, f"- id: k9\n  secret: {D}\n")
    assert added.startswith(text)
    assert [key.id for key in load(added, file="", uses=KEY_USES).keys][-1] == "k9"


@pytest.mark.parametrize("text", ["[{ id: k1 }]", "k1: 5", f"- id: k2\n  secret: {C}\n"])
def test_what_cannot_be_changed_by_itself_is_refused(text: str) -> None:
    """Rather than written in a guess."""
    with pytest.raises(ConfigurationInvalid, match="k1"):
        amended(text, "k1", {"state": "revoked"})
    with pytest.raises(ConfigurationInvalid, match="k1"):
        removed(text, "k1")
