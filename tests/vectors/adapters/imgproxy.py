"""imgproxy: hexadecimal key and salt, and the size of a signature."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from countermark.settings.option import Value
from tests.vectors.adapters import CENTURY, Adapter, World

_LEAST = 16


def _pair(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    key, salt = bytes.fromhex(config["key_hex"]), bytes.fromhex(config["salt_hex"])
    name = "unsafe_signature_size" if config["size"] < _LEAST else "signature_size"
    options: dict[str, Value] = {name: config["size"], "unsafe_unlimited": True}
    options |= {option: True for option in ("unsafe_repair", "only_presets") if config.get(option)}
    pair = Key(id="pair", dialect="imgproxy", algorithm="hmac-sha256", material=key, salt=salt, max_life=CENTURY)
    return World(keys=(pair,), options=options)


ADAPTERS: dict[str, Adapter] = {"imgproxy": _pair}
