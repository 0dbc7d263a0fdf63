"""Media CDN's URLs, cookies and tokens."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any

from countermark.keys.keyring import Algorithm, Key
from tests.vectors.adapters import CENTURY, Adapter, World


def _base(vector: dict[str, Any]) -> str:
    return "/".join(vector["url"].split("/")[:3])


def _service(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    keys = tuple(
        Key(
            id=name,
            dialect=vector["dialect"],
            algorithm="ed25519",
            material=urlsafe_b64decode(public),
            max_life=CENTURY,
        )
        for name, public in vector["config"]["public_keys_b64url"].items()
    )
    # A prefix covers no query; the vendor's example has one beside it all the same.
    options = {"unsafe_unsigned_operations": "some=query" in vector["url"]}
    return World(keys=keys, options=options, base_url=_base(vector))


def _token(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    algorithm: Algorithm = vector["primitive"]
    material = urlsafe_b64decode(config.get("public_key_b64url") or config["secret_b64url"])
    key = Key(id="k", dialect="gcp_media_cdn_token", algorithm=algorithm, material=material, max_life=CENTURY)
    return World(keys=(key,), base_url=_base(vector))


ADAPTERS: dict[str, Adapter] = {
    "gcp_media_cdn": _service,
    "gcp_media_cdn_cookie": _service,
    "gcp_media_cdn_token": _token,
}
