"""Cloudinary: the API secret, or the token's key; what stands before image/ is the site's prefix."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from countermark.keys.keyring import Key
from countermark.settings.option import Value
from tests.vectors.adapters import CENTURY, Adapter, World


def _signature(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    before, _, after = urlsplit(vector["url"]).path.partition("image/")
    secret = config["api_secret"].encode()
    key = Key(id="account", dialect="cloudinary", algorithm=config["algorithm"], material=secret, max_life=CENTURY)
    options: dict[str, Value] = {"types": (after.split("/")[0],), "unsafe_short": config["length"] == 8}
    return World(keys=(key,), options=options | {"unsafe_unlimited": True}, prefix=before)


def _token(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    secret = bytes.fromhex(vector["config"]["key_hex"])
    key = Key(id="t", dialect="cloudinary_auth_token", algorithm="hmac-sha256", material=secret, max_life=CENTURY)
    return World(keys=(key,))


ADAPTERS: dict[str, Adapter] = {"cloudinary": _signature, "cloudinary_auth_token": _token}
