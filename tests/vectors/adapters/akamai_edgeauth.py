"""Akamai's tokens; the vectors' key is shorter than a keyring file may hold."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Algorithm, Key
from tests.vectors.adapters import CENTURY, Adapter, World

_ALGORITHMS: dict[str, Algorithm] = {"sha256": "hmac-sha256", "sha1": "hmac-sha1", "md5": "hmac-md5"}


def _property(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    key = Key(
        id="main",
        dialect="akamai_edgeauth",
        algorithm=_ALGORITHMS[config["algorithm"]],
        material=bytes.fromhex(config["key_hex"]),
        max_life=CENTURY,
    )
    options = {
        "token": config["token_name"],
        "salt": config["salt"] or "",
        "escape_early": config["escape_early"],
        "carrier": "header" if "headers" in vector else "query",
    }
    return World(keys=(key,), options=options)


ADAPTERS: dict[str, Adapter] = {"akamai_edgeauth": _property}
