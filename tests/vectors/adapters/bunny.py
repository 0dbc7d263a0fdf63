"""Bunny's generations. A vector does not say in which order its signer puts the parts: what it signs does."""

from __future__ import annotations

import re
from typing import Any

from countermark.keys.keyring import Algorithm, Key
from countermark.settings.option import Value
from tests.vectors.adapters import CENTURY, Adapter, World

ALGORITHMS: dict[str, Algorithm] = {
    "bunny_basic": "md5",
    "bunny_hmac": "hmac-sha256",
    "bunny_sha256_legacy": "sha256",
}


def _zone(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    dialect, config = vector["dialect"], vector["config"]
    key = Key(
        id="zone",
        dialect=dialect,
        algorithm=ALGORITHMS[dialect],
        material=config["secret"].encode(),
        max_life=CENTURY,
    )
    return World(keys=(key,), options=_options(vector), country=_country(vector["url"]))


def _options(vector: dict[str, Any]) -> dict[str, Value]:
    bound = vector["config"].get("ip", False)
    if vector["dialect"] == "bunny_basic":
        return {"ip": bound}
    limited = {"unsafe_ignored_limit": "limit=" in vector["url"]}
    if vector["dialect"] == "bunny_hmac":
        return {"text_ip": bound, **limited}
    return {"ip": bound, "order": _order(vector), **limited}


def _order(vector: dict[str, Any]) -> str:
    address, signed = vector.get("client_ip", "-"), vector["string_to_sign"]
    if re.search(rf"{re.escape(address)}[0-9]{{10}}", signed):
        return "ip,expires,params"
    return "expires,params,ip" if signed.endswith(address) else "expires,ip,params"


def _country(url: str) -> str:
    """Where a vector names countries and not its client's: one that they let in."""
    named = re.search(r"token_countries=([A-Z]{2})", url)
    return named[1] if named else "US"


ADAPTERS: dict[str, Adapter] = dict.fromkeys(ALGORITHMS, _zone)
