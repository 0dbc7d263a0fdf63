"""Message signatures."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _edge(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    keys = tuple(
        Key(
            id=key_id,
            dialect="rfc9421",
            algorithm=key["alg"],
            material=b64decode(key.get("secret_b64") or key["public_b64"]),
            max_life=CENTURY,
        )
        for key_id, key in config["keys"].items()
    )
    return World(keys=keys, options={"tag": config["tag"]} if "tag" in config else {})


ADAPTERS: dict[str, Adapter] = {"rfc9421": _edge}
