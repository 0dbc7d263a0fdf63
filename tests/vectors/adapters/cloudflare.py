"""Cloudflare's two."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from countermark.settings.option import Value
from tests.vectors.adapters import CENTURY, Adapter, World


def _zone(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config, dialect = vector["config"], vector["dialect"]
    secret = config["secret"].encode()
    key = Key(id="zone", dialect=dialect, algorithm="hmac-sha256", material=secret, max_life=CENTURY)
    options: dict[str, Value] = {}
    if dialect == "cloudflare_timed_hmac":
        options = {"ttl": config["ttl"], "encoding": "base64url" if "s" in config["flags"] else "base64"}
    return World(keys=(key,), options=options)


ADAPTERS: dict[str, Adapter] = {"cloudflare_images": _zone, "cloudflare_timed_hmac": _zone}
