"""CloudFront's URLs and cookies; the published keys are shorter than a keyring file may hold."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from countermark.keys.keyring import Algorithm, Key
from tests.vectors.adapters import CENTURY, Adapter, World

_ALGORITHMS: dict[str, Algorithm] = {
    "rsa-pkcs1v15-sha1": "rsa-sha1",
    "rsa-pkcs1v15-sha256": "rsa-sha256",
    "ecdsa-p256-sha256-der": "ecdsa-p256",
}


def _distribution(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    algorithm = _ALGORITHMS[vector["primitive"]]
    keys = tuple(
        Key(
            id=key_id,
            dialect=vector["dialect"],
            algorithm=algorithm,
            material=_der(document_keys[named]),
            max_life=CENTURY,
        )
        for key_id, named in vector["config"]["keys"].items()
    )
    return World(keys=keys, base_url="/".join(vector["url"].split("/")[:3]))


def _der(key: dict[str, str]) -> bytes:
    if "spki_der_b64" in key:
        return b64decode(key["spki_der_b64"])
    return b64decode("".join(line for line in key["spki_pem"].splitlines() if not line.startswith("-")))


ADAPTERS: dict[str, Adapter] = {"cloudfront": _distribution, "cloudfront_cookie": _distribution}
