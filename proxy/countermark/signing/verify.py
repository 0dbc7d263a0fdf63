"""The one verify path (steps of docs/architecture.md): every dialect passes through `authenticate` and nothing else."""

from __future__ import annotations

from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.keys.keyring import Key
from countermark.signing.dialect import Realm


def authenticate(request: EdgeRequest, realm: Realm, keys: tuple[Key, ...], now: float) -> Claims:
    """Claims, or SignatureMissing, TargetMalformed, SignatureInvalid, KeyInactive, NotYetValid, LifetimeExceeded,
    Expired, AddressMismatch. The raised error's `dialect` names the dialect that refused."""
    raise NotImplementedError
