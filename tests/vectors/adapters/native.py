"""The house's own vectors."""

from __future__ import annotations

import base64
from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import Adapter, World


def _native(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    key = dict(config["key"])
    material = base64.urlsafe_b64decode(key.pop("material_b64url") + "==")
    keys = (Key(dialect="native", material=material, **key),)
    return World(keys=keys, audience=config.get("audience", "site"))


ADAPTERS: dict[str, Adapter] = {"native": _native}
