"""SAS of blobs."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _account(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    material = b64decode(config["key_b64"])
    key = Key(id="key1", dialect="azure_blob_sas", algorithm="hmac-sha256", material=material, max_life=CENTURY)
    base_url = "/".join(vector["url"].split("/")[:3])
    return World(keys=(key,), options={"account": config["account"]}, base_url=base_url)


ADAPTERS: dict[str, Adapter] = {"azure_blob_sas": _account}
