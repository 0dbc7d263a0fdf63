"""Keys at rest: each sealed by a data key of its own, which a key management service wraps (envelope encryption).

    sealed: SCHEME.WRAPPED.SEALED

SCHEME is the provider's name, WRAPPED the data key as the provider wrapped it, SEALED nonce, ciphertext and tag of
AES-256-GCM (`keys/envelope.py`); both base64url. Both layers authenticate the binding: key id, dialect, algorithm and dates.
So whoever can write to the file cannot put one key in another's place, nor stretch its time. State and `since` are not bound,
so that a key can be revoked while the service is away; nor does a state give back a time that is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from countermark.core.encoding import base64url, read_base64url
from countermark.keys.envelope import seal, unseal
from countermark.keys.keyring import Key
from countermark.keys.material import PAIRS

Context = Mapping[str, str]

_NOT_THIS = (
    "does not open: it was sealed for another id, dialect, algorithm or date, by another service, or was changed"
)


class KeyWrapper(Protocol):
    """A key management service that wraps data keys. Both calls block, and raise KmsUnavailable.

    scheme   the provider's name, as in the setting kms
    """

    scheme: str

    def wrap(self, data_key: bytes, context: Context) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """The data key. Raises ValueError unless it was wrapped here and with this context."""
        ...


def binding(
    *, id: str, dialect: str, algorithm: str, not_before: int | None = None, not_after: int | None = None, **_: Any
) -> dict[str, str]:
    """What a sealed key is bound to; the facts of a Key by their names."""
    dates = {"not_before": not_before, "not_after": not_after}
    return {"key": id, "dialect": dialect, "algorithm": algorithm} | {
        name: str(date) for name, date in dates.items() if date is not None
    }


def binding_of(key: Key) -> dict[str, str]:
    """What this key is bound to when it is sealed."""
    return binding(
        id=key.id, dialect=key.dialect, algorithm=key.algorithm, not_before=key.not_before, not_after=key.not_after
    )


def context_bytes(context: Context) -> bytes:
    """A context as additional data: its names in order, each pair on a line of its own."""
    return "".join(f"{name}={value}\n" for name, value in sorted(context.items())).encode()


def hidden(key: Key) -> bytes:
    """What of a key is sealed: its secret, or its private half; nothing where a key pair has none."""
    return key.private if key.algorithm in PAIRS else key.material


def seal_key(key: Key, wrapper: KeyWrapper, *, data_key: bytes, nonce: bytes) -> str:
    """The text for `sealed`. `data_key` is 32 random bytes, `nonce` 12. Raises KmsUnavailable."""
    context = binding_of(key)
    wrapped = wrapper.wrap(data_key, context)
    sealed = seal(data_key, hidden(key), context=context_bytes(context), nonce=nonce)
    return f"{wrapper.scheme}.{base64url(wrapped)}.{base64url(sealed)}"


def open_sealed(text: str, context: Context, wrapper: KeyWrapper) -> bytes:
    """What was sealed. Raises ValueError with a sentence for what was sealed for something else, KmsUnavailable."""
    parts = text.split(".")
    wrapped, sealed = (read_base64url(part) for part in parts[1:]) if len(parts) == 3 else (None, None)
    if not wrapped or not sealed:
        raise ValueError("must be what `countermark keys seal` writes")
    if parts[0] != wrapper.scheme:
        raise ValueError(f"was sealed by {parts[0][:16]}, and the setting kms names {wrapper.scheme}")
    try:
        return unseal(wrapper.unwrap(wrapped, context), sealed, context=context_bytes(context))
    except ValueError:
        raise ValueError(_NOT_THIS) from None
