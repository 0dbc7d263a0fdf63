"""Google Cloud CDN. Its prefixes leave the query to anybody, and one published vector shows that."""

from __future__ import annotations

import base64
from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _backend(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    dialect, url = vector["dialect"], vector["url"]
    keys = tuple(
        Key(
            id=name,
            dialect=dialect,
            algorithm="hmac-sha1",
            material=base64.urlsafe_b64decode(secret),
            max_life=CENTURY,
        )
        for name, secret in vector["config"]["keys_b64url"].items()
    )
    base_url = "/".join(url.split("/")[:3])
    return World(keys=keys, options={"unsafe_ignored_query": "&URLPrefix=" in url}, base_url=base_url)


ADAPTERS: dict[str, Adapter] = {"gcp_cdn": _backend, "gcp_cdn_cookie": _backend}
