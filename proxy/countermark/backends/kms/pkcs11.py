"""A key in a token behind a PKCS#11 module, such as an HSM's or SoftHSM's: it never leaves the token (the extra `pkcs11`).

https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.1/os/pkcs11-spec-v3.1-os.html, CKM_AES_GCM
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, PKCS11Error, Session

from countermark.backends.kms import secret_file
from countermark.core.errors import KmsUnavailable
from countermark.keys.envelope import KEY_BYTES, NONCE_BYTES
from countermark.keys.sealed import Context, context_bytes

_TAG_BYTES = 16
_WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + _TAG_BYTES

# A module belongs to the whole process, and C_Initialize without arguments promises it one thread at a time.
_alone = Lock()

_REASONS: dict[type[PKCS11Error], str] = {
    pkcs11.NoSuchToken: "the module shows no token of this label",
    pkcs11.MultipleTokensReturned: "the module shows several tokens of this label",
    pkcs11.PinIncorrect: "it refused the PIN (most tokens count such tries)",
    pkcs11.PinLocked: "its PIN is locked",
}


class Pkcs11Kms:
    """One AES-256 key; `token` and `key` are labels, `module` the absolute path of a shared library. The PIN is the user's.

    Each call initialises the module, logs in, and undoes both: a token that was away is found again, no session is there
    to be lost, and nobody but the call is logged in.
    """

    scheme = "pkcs11"

    def __init__(self, module: str, *, token: str, key: str, pin_file: str) -> None:
        self._module = module
        self._token = token
        self._key = key
        self._pin_file = Path(pin_file)

    def wrap(self, data_key: bytes, context: Context) -> bytes:
        with self._opened() as key:
            return _encrypted(key, data_key, context)

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        if len(wrapped) != _WRAPPED_BYTES:
            raise ValueError("PKCS#11: no key was wrapped here")
        with self._opened() as key:
            try:
                return _decrypted(key, wrapped, context)
            except PKCS11Error:
                # Tokens tell a wrong tag by codes that also mean trouble (SoftHSM: CKR_GENERAL_ERROR). The text is wrong
                # if the token can still do the same with one of its own; else this raises what the trouble is.
                _decrypted(key, _encrypted(key, bytes(KEY_BYTES), context), context)
                raise ValueError("PKCS#11: this was not wrapped with this key and context") from None

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The key, of a class that the library makes up of what the key may do."""
        pin = secret_file.read(self._pin_file)
        with _alone:
            try:
                module = pkcs11.lib(self._module)
                try:
                    with module.get_token(token_label=self._token).open(user_pin=pin) as session:
                        yield self._found(session)
                finally:
                    module.finalize()
            except PKCS11Error as error:
                reason = _REASONS.get(type(error)) or str(error) or type(error).__name__
                raise KmsUnavailable(f"the PKCS#11 token {self._token!r} cannot be asked: {reason}") from None

    def _found(self, session: Session) -> Any:
        wanted = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.VALUE_LEN: KEY_BYTES,
            Attribute.LABEL: self._key,
            Attribute.ENCRYPT: True,
            Attribute.DECRYPT: True,
        }
        found = list(session.get_objects(wanted))
        if len(found) != 1:
            number = "several AES-256 keys" if found else "no AES-256 key"
            raise KmsUnavailable(
                f"the PKCS#11 token {self._token!r} has {number} of the label {self._key!r} that may encrypt and decrypt"
            )
        return found[0]


def _encrypted(key: Any, plain: bytes, context: Context) -> bytes:
    """Nonce, ciphertext and tag."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + bytes(key.encrypt(plain, **_gcm(nonce, context)))


def _decrypted(key: Any, sealed: bytes, context: Context) -> bytes:
    return bytes(key.decrypt(sealed[NONCE_BYTES:], **_gcm(sealed[:NONCE_BYTES], context)))


def _gcm(nonce: bytes, context: Context) -> dict[str, Any]:
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, context_bytes(context), _TAG_BYTES * 8)}
