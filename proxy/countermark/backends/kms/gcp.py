"""Google Cloud KMS: encrypt and decrypt of a symmetric key, with additional authenticated data.

https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/decrypt
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

ENDPOINT = "https://cloudkms.googleapis.com"

_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/token"


class GcpKms:
    """One key, named projects/…/locations/…/keyRings/…/cryptoKeys/….

    The access token is that of `token_file`, or of the machine's service account by the metadata server (GCE_METADATA_HOST).
    """

    scheme = "gcp"

    def __init__(self, key: str, *, endpoint: str = ENDPOINT, token_file: str = "") -> None:
        self._url = f"{rest.checked(endpoint)}/v1/{key}"
        self._token_file = token_file

    def wrap(self, data_key: bytes, context: Context) -> bytes:
        return self._ask("encrypt", context, "ciphertext", plaintext=base64(data_key))

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        return self._ask("decrypt", context, "plaintext", ciphertext=base64(wrapped))

    def _ask(self, call: str, context: Context, wanted: str, **fields: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token()}"}
        body = {**fields, "additionalAuthenticatedData": base64(context_bytes(context))}
        status, answer = rest.call(
            "POST", f"{self._url}:{call}", headers=headers, body=body, service="Google Cloud KMS"
        )
        if status == 200 and wanted in answer:
            return read_form("base64_secret", str(answer[wanted])) or b""
        error: Any = answer.get("error")
        name = str(error.get("status", "")) if isinstance(error, dict) else ""
        if status == 400 and name == "INVALID_ARGUMENT":
            raise ValueError("Google Cloud KMS: this was not wrapped with this key and context")
        raise KmsUnavailable(f"Google Cloud KMS answered {status} {name}".rstrip())

    def _token(self) -> str:
        if self._token_file:
            try:
                return Path(self._token_file).read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                raise KmsUnavailable(f"the token file of Google Cloud cannot be read: {error}") from None
        host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        headers = {"Metadata-Flavor": "Google"}
        status, answer = rest.call("GET", f"http://{host}{_ACCOUNT}", headers=headers, service="the metadata server")
        token = answer.get("access_token")
        if status != 200 or not isinstance(token, str):
            raise KmsUnavailable(f"the metadata server gave no access token ({status})")
        return token
