"""imgix: a secret text."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _source(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    secret = vector["config"]["secret"].encode()
    key = Key(id="source", dialect="imgix", algorithm="md5", material=secret, max_life=CENTURY)
    return World(keys=(key,), options={"unsafe_unlimited": True})


ADAPTERS: dict[str, Adapter] = {"imgix": _source}
