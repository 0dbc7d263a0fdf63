"""ImageKit: the account's private key; the endpoint's path is the site's prefix."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _account(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    secret = config["private_key"].encode()
    key = Key(id="account", dialect="imagekit", algorithm="hmac-sha1", material=secret, max_life=CENTURY)
    prefix = urlsplit(config["url_endpoint"]).path
    return World(keys=(key,), options={"unsafe_unlimited": True}, prefix=prefix)


ADAPTERS: dict[str, Adapter] = {"imagekit": _account}
