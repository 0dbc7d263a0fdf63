"""KeyCDN's two modes."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _zone(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config, dialect = vector["config"], vector["dialect"]
    secret = config["secret"].encode()
    key = Key(id="zone", dialect=dialect, algorithm="md5", material=secret, max_life=CENTURY)
    return World(keys=(key,), options={"ip": config["ip"]} if "ip" in config else {})


ADAPTERS: dict[str, Adapter] = {"keycdn_image": _zone, "keycdn_access": _zone}
