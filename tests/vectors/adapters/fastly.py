"""Fastly's sample token."""

from __future__ import annotations

import base64
from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _service(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    secret = base64.b64decode(vector["config"]["secret_b64"])
    key = Key(id="service", dialect="fastly_token", algorithm="hmac-sha1", material=secret, max_life=CENTURY)
    return World(keys=(key,))


ADAPTERS: dict[str, Adapter] = {"fastly_token": _service}
