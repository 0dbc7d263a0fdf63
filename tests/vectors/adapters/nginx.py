"""nginx's directives: the vectors write the secret into the template, as nginx does."""

from __future__ import annotations

from typing import Any

from countermark.keys.keyring import Algorithm, Key
from tests.vectors.adapters import CENTURY, Adapter, World

ALGORITHMS: dict[str, Algorithm] = {"sha1": "hmac-sha1", "sha256": "hmac-sha256", "sha512": "hmac-sha512"}


def _md5(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    fields = [f"$arg_{config[name]}" for name in ("hash_arg", "expires_arg") if config[name]]
    return World(
        keys=(_key(vector, "md5", b"secret"),),
        options={
            "secure_link": ",".join(fields),
            "secure_link_md5": config["template"].replace("secret", "{secret}"),
            "unsafe_unlimited": len(fields) == 1,
        },
    )


def _secret(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    key = _key(vector, "md5", vector["config"]["secret"].encode())
    return World(keys=(key,), options={"unsafe_unlimited": True})


def _hmac(vector: dict[str, Any], document_keys: dict[str, Any]) -> World:
    config = vector["config"]
    return World(
        keys=(_key(vector, ALGORITHMS[config["algorithm"]], config["secret"].encode()),),
        options={
            "secure_link_hmac": config["fields"],
            "secure_link_hmac_message": config["message"],
            "unsafe_unlimited": "&e=" not in vector["url"] or "&e=0" in vector["url"],
        },
    )


def _key(vector: dict[str, Any], algorithm: Algorithm, secret: bytes) -> Key:
    return Key(id="location", dialect=vector["dialect"], algorithm=algorithm, material=secret, max_life=CENTURY)


ADAPTERS: dict[str, Adapter] = {
    "nginx_secure_link": _md5,
    "nginx_secure_link_hmac": _hmac,
    "nginx_secure_link_secret": _secret,
}
