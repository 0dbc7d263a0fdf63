"""thumbor and imagor: a secret text; imagor also an algorithm and the length that the text is cut to."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _server(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config, dialect = vector["config"], vector["dialect"]
    key = Key(
        id="server",
        dialect=dialect,
        algorithm=config.get("algorithm", "hmac-sha1"),
        material=config["secret"].encode(),
        max_life=CENTURY,
    )
    return World(keys=(key,), options={"signature_length": config.get("length", 0), "unsafe_unlimited": True})


ADAPTERS: dict[str, Adapter] = {"thumbor": _server, "imagor": _server}
