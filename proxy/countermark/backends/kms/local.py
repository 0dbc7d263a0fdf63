"""A master key in a file of this machine: it keeps keyring files, backups and repositories harmless, not the machine."""

from __future__ import annotations

import secrets
from pathlib import Path

from countermark.backends.kms import secret_file
from countermark.core.encoding import base64url, read_base64url
from countermark.core.errors import KmsUnavailable
from countermark.keys.envelope import KEY_BYTES, NONCE_BYTES, seal, unseal
from countermark.keys.sealed import Context, context_bytes


class LocalKms:
    """AES-256-GCM under the 32 bytes that a file holds as base64url. The file is read at each call."""

    scheme = "local"

    def __init__(self, file: Path) -> None:
        self._file = file

    def wrap(self, data_key: bytes, context: Context) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return seal(self._master(), data_key, context=context_bytes(context), nonce=nonce)

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        return unseal(self._master(), wrapped, context=context_bytes(context))

    def _master(self) -> bytes:
        master = read_base64url(secret_file.read(self._file))
        if master is None or len(master) != KEY_BYTES:
            raise KmsUnavailable(f"{self._file} must hold {KEY_BYTES} bytes in base64url")
        return master


def new_master() -> str:
    """What a new file holds."""
    return base64url(secrets.token_bytes(KEY_BYTES)) + "\n"
