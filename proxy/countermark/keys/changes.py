"""What a new keyring changes: for the audit, so that a change by hand is told like one by a command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from countermark.keys.keyring import Key, State

_KINDS: dict[State, str] = {
    "pending": "key.published",
    "active": "key.rotated",
    "retiring": "key.retired",
    "revoked": "key.revoked",
}


class KeyChange(Struct, frozen=True, kw_only=True):
    """One change. `kind` is that of a Notice: key.published, .rotated (it signs now), .retired, .revoked, .removed or
    .replaced (other material under the same id)."""

    kind: str
    key_id: str
    detail: str


def changes(old: Iterable[Key], new: Iterable[Key]) -> Iterator[KeyChange]:
    """Each key that came, went, or changed its state or material."""
    before, after = {key.id: key for key in old}, {key.id: key for key in new}
    for key in after.values():
        known = before.get(key.id)
        if known is not None and known.material != key.material:
            yield _change("key.replaced", key, f"was {known.fingerprint()}")
        if known is None or known.state != key.state:
            yield _change(_KINDS[key.state], key, f"was {known.state if known else 'unknown'}")
    for key in before.values():
        if key.id not in after:
            yield _change("key.removed", key, f"was {key.state}")


def _change(kind: str, key: Key, detail: str) -> KeyChange:
    return KeyChange(kind=kind, key_id=key.id, detail=f"{key.dialect} {key.fingerprint()}, {detail}")
