"""Pixel Fiddler: public keys of the document by name."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from countermark.keys.keyring import Key
from countermark.settings.option import Value
from tests.vectors.adapters import CENTURY, Adapter, World


def _space(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    public = b64decode(document_keys[config["public_key"]]["spki_der_b64"])
    key = Key(id="space", dialect="pixel_fiddler", algorithm="ecdsa-p256", material=public, max_life=CENTURY)
    options: dict[str, Value] = {"expiry": config["ttl"], "unsafe_compat": tuple(config.get("compat", ()))}
    return World(keys=(key,), options=options)


ADAPTERS: dict[str, Adapter] = {"pixel_fiddler": _space}
