"""OG Image API: one secret and the form that it signs."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import Adapter, World


def _account(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    key = Key(id="account", dialect="ogimage", algorithm="hmac-sha256", material=config["secret"].encode())
    return World(keys=(key,), options={"unsafe_profile": config["profile"]})


ADAPTERS: dict[str, Adapter] = {"ogimage": _account}
