"""willnorris/imageproxy: a secret text."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _server(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    secret = vector["config"]["secret"].encode()
    key = Key(id="server", dialect="imageproxy", algorithm="hmac-sha256", material=secret, max_life=CENTURY)
    return World(keys=(key,), options={"unsafe_unlimited": True})


ADAPTERS: dict[str, Adapter] = {"imageproxy": _server}
