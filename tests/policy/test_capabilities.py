"""What the lint believes of dialects is what they do."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from countermark.core.grant import Claims
from countermark.policy.decide import SIGNED
from countermark.signing.table import DIALECTS
from tests.vectors import signing

VECTORS = Path(signing.__file__).parent


def test_whatever_a_dialect_signs_stands_in_its_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the known answers of all dialects no fact is signed that the lint would call unsignable."""
    signed: dict[str, set[str]] = defaultdict(set)
    genuine = signing.authenticate

    def watched(*arguments: Any, **named: Any) -> Claims:
        claims = genuine(*arguments, **named)
        signed[claims.dialect] |= {element for element, holds in SIGNED.items() if holds(claims)}
        return claims

    monkeypatch.setattr(signing, "authenticate", watched)
    for path in sorted(VECTORS.glob("*.json")):
        if json.loads(path.read_text()).get("format") == "signing-vectors/1":
            signing.check_file(path)
    assert len(signed) > 20
    for name, elements in signed.items():
        facts = DIALECTS[name].capabilities
        known = facts.binds | ({"address"} if facts.address else set()) | ({"jti"} if "once" in facts.binds else set())
        assert elements <= known, name
