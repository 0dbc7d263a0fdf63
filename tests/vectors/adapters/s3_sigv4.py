"""Presigned URLs of S3."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _bucket(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    keys = tuple(
        Key(id=key_id, dialect="s3_sigv4", algorithm="hmac-sha256", material=secret.encode(), max_life=CENTURY)
        for key_id, secret in config["keys"].items()
    )
    base_url = "/".join(vector["url"].split("/")[:3])
    return World(keys=keys, options={"region": config["region"]}, base_url=base_url)


ADAPTERS: dict[str, Adapter] = {"s3_sigv4": _bucket}
