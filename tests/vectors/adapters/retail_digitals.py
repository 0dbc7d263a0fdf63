"""Retail Digitals: two keys, and the ids of tokens that were used."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import Adapter, World


def _edge(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    keys = tuple(
        Key(id=key_id, dialect="retail_digitals", algorithm="hmac-sha256", material=secret.encode())
        for key_id, secret in config["keys"].items()
    )
    used = frozenset(vector.get("state", {}).get("used_jti", ()))
    return World(keys=keys, options={"audience": config["aud"]}, used=used)


ADAPTERS: dict[str, Adapter] = {"retail_digitals": _edge}
