"""HashiCorp Vault's transit engine, and OpenBao's: encrypt and decrypt with associated data.

https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from countermark.backends.kms import rest
from countermark.core.encoding import base64
from countermark.core.errors import KmsUnavailable
from countermark.keys.material import read_form
from countermark.keys.sealed import Context, context_bytes


class VaultKms:
    """One transit key of an AEAD kind (aes256-gcm96, the default). `url` is https://HOST/MOUNT/KEY.

    The token is that of `token_file`, as Vault's agent writes it, or of VAULT_TOKEN; the namespace that of VAULT_NAMESPACE.
    """

    scheme = "vault"

    def __init__(self, url: str, *, token_file: str = "") -> None:
        address, _, self._key = rest.checked(url).rpartition("/")
        host, _, self._mount = address.rpartition("/")
        self._api = f"{host}/v1/{self._mount}"
        self._token_file = token_file

    def wrap(self, data_key: bytes, context: Context) -> bytes:
        return str(self._ask("encrypt", context, plaintext=base64(data_key))["ciphertext"]).encode()

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        answer = self._ask("decrypt", context, ciphertext=wrapped.decode("ascii", "replace"))
        return read_form("base64_secret", str(answer["plaintext"])) or b""

    def _ask(self, call: str, context: Context, **fields: str) -> dict[str, Any]:
        headers = {"X-Vault-Request": "true", "X-Vault-Token": self._token()}
        if namespace := os.environ.get("VAULT_NAMESPACE"):
            headers["X-Vault-Namespace"] = namespace
        body = {**fields, "associated_data": base64(context_bytes(context))}
        status, answer = rest.call(
            "POST", f"{self._api}/{call}/{self._key}", headers=headers, body=body, service="Vault"
        )
        data = answer.get("data")
        if status == 200 and isinstance(data, dict) and ("plaintext" in data or "ciphertext" in data):
            return data
        told = "; ".join(str(error) for error in answer.get("errors") or ())[:200]
        # 400 is also what a key gives that is gone or too old a version; only these two speak of the text.
        if status == 400 and ("message authentication failed" in told or "invalid ciphertext" in told):
            raise ValueError("Vault: this was not wrapped with this key and context")
        raise KmsUnavailable(f"Vault answered {status}{f': {told}' if told else ''}")

    def _token(self) -> str:
        if not self._token_file:
            return os.environ.get("VAULT_TOKEN", "")
        try:
            return Path(self._token_file).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise KmsUnavailable(f"the token file of Vault cannot be read: {error}") from None
