"""KeyCDN's two modes."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from countermark.settings.option import Value
from tests.vectors.adapters import CENTURY, Adapter, World


def _zone(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config, dialect = vector["config"], vector["dialect"]
    secret = config["secret"].encode()
    key = Key(id="zone", dialect=dialect, algorithm="md5", material=secret, max_life=CENTURY)
    options: dict[str, Value] = {"unsafe_unlimited": True} if dialect == "keycdn_image" else {}
    return World(keys=(key,), options=options | {name: config[name] for name in ("ip",) if name in config})


ADAPTERS: dict[str, Adapter] = {"keycdn_image": _zone, "keycdn_access": _zone}
