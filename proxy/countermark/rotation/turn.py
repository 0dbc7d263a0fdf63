"""A turn of the keys: they follow one another as the setting `rotation` says, or one of them leaves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from countermark.configuration import read_keyring, rotation_rules
from countermark.core.errors import ConfigurationInvalid, Conflict, ResourceUnknown
from countermark.keys.keyfile import render
from countermark.keys.keyring import HASHES, MACS, SEALS, TOKENS, Algorithm, Key
from countermark.keys.material import new_private, public_of
from countermark.keys.replacement import amended, appended, fields, ids, removed
from countermark.keys.schedule import Step, changed, plan, successor
from countermark.rotation.file import Change, KeyringFile, keyring_file, recorded, sealed
from countermark.settings.model import Settings
from countermark.settings.units import format_moment

Clock = Callable[[], float]
"""Unix seconds."""

Turn = Callable[[Settings], tuple[Change, ...]]
"""A change of the keyring file that the settings name; blocks."""


class Outlook(Struct, frozen=True, kw_only=True):
    """What a rotation would do to the keys as they stand in the file."""

    keys: tuple[Key, ...]
    steps: tuple[Step, ...]


def outlook(settings: Settings, *, now: int, due: bool) -> Outlook:
    """What `rotate` would do. Raises Conflict where no dialect is rotated, ConfigurationInvalid."""
    keys = read_keyring(settings).keys
    return Outlook(keys=keys, steps=_planned(keys, settings, now, due=due))


def rotate(settings: Settings, *, clock: Clock, by: str, due: bool) -> tuple[Change, ...]:
    """Let the keys follow one another; with `due` the signing keys are taken for due whatever their age.

    Raises Conflict where no dialect is rotated, ConfigurationInvalid, KmsUnavailable; then the file is as it was.
    """
    with keyring_file(settings) as file:
        # Read under the lock: before it, a key that somebody else has just published would not be published yet.
        now = int(clock())
        keys = {key.id: key for key in file.keyring().keys}
        return carry_out(_planned(keys.values(), settings, now, due=due), keys, file, now=now, by=by)


def revoke(settings: Settings, key_id: str, *, clock: Clock, by: str) -> tuple[Change]:
    """Take a key out of use. It needs no key management service.

    Raises ResourceUnknown for a key that the file does not have, ConfigurationInvalid; then the file is as it was.
    """
    with keyring_file(settings) as file:
        now = int(clock())
        if key_id not in ids(file.text):
            raise ResourceUnknown(f"The keyring file has no entry for a key {key_id[:64]!r}.")
        held = fields(file.text, key_id)
        change = Change(
            key=key_id,
            dialect=held.get("dialect", "native"),
            fingerprint=_fingerprint(file, key_id),
            before=held.get("state", "active"),
            after="revoked",
        )
        text = amended(file.text, key_id, {"state": "revoked", "since": format_moment(now)})
        # Not checked: a key must leave although another one of the file, or who opens it, is in trouble.
        file.write(text, recorded([change], now=now, by=by), checked=False)
        return (change,)


def make_material(algorithm: Algorithm) -> tuple[bytes, bytes]:
    """A new secret, or both halves of a new key pair."""
    if algorithm in HASHES or algorithm in TOKENS:
        return secrets.token_urlsafe(32).encode(), b""
    if algorithm in MACS or algorithm in SEALS:
        return secrets.token_bytes(32), b""
    private = new_private(algorithm)
    return public_of(algorithm, private), private


def carry_out(
    steps: Sequence[Step], keys: Mapping[str, Key], file: KeyringFile, *, now: int, by: str
) -> tuple[Change, ...]:
    """Write the steps into the file. Raises ConfigurationInvalid, KmsUnavailable; then the file is as it was."""
    text, changes = file.text, []
    taken = {*keys, *file.known_ids()} if steps else set()
    for step in steps:
        old = keys[step.key_id]
        match step.action:
            case "publish":
                old = _new_key(old, taken, now)
                taken.add(old.id)
                text = appended(text, render(old, sealed(old, file.wrapper) if file.wrapper else ""))
                change = _change(old, "", "pending")
            case "remove":
                text = removed(text, old.id)
                change = _change(old, old.state, "removed")
            case _:
                new = changed(old, step, now)
                text = amended(text, old.id, _written(new, fields(text, old.id), file))
                change = _change(new, old.state, new.state)
        changes.append(change)
    if changes:
        file.write(text, recorded(changes, now=now, by=by))
    return tuple(changes)


def _planned(keys: Iterable[Key], settings: Settings, now: int, *, due: bool) -> tuple[Step, ...]:
    rules = rotation_rules(settings)
    if not rules:
        raise Conflict("The setting rotation names no dialect; `rotation: { native: {} }` rotates weekly.")
    return plan(keys, rules, now, due=due)


def _written(key: Key, held: Mapping[str, str], file: KeyringFile) -> dict[str, str]:
    """The fields that a step changes. A sealed key is bound to its dates, so it is sealed anew with them."""
    written = {"state": key.state, "since": format_moment(key.since or 0)}
    if key.state == "retiring" and key.not_after is not None:
        written["not_after"] = format_moment(key.not_after)
        if "sealed" in held and file.wrapper is not None:
            written["sealed"] = sealed(key, file.wrapper)
    return written


def _new_key(model: Key, taken: Collection[str], now: int) -> Key:
    stem = time.strftime("k%Y%m%d", time.gmtime(now))
    names = (stem if number == 1 else f"{stem}.{number}" for number in range(1, len(taken) + 2))
    key_id = next(name for name in names if name not in taken)
    material, private = make_material(model.algorithm)
    salt = secrets.token_bytes(32) if model.salt else b""
    return successor(model, key_id=key_id, material=material, private=private, salt=salt, now=now)


def _change(key: Key, before: str, after: str) -> Change:
    return Change(
        key=key.id,
        dialect=key.dialect,
        fingerprint=key.fingerprint(),
        before=before,
        after=after,
        not_after="" if key.not_after is None or after != "retiring" else format_moment(key.not_after),
    )


def _fingerprint(file: KeyringFile, key_id: str) -> str:
    """That of a key, "" where the file cannot be read whole: revoking must not depend on it."""
    try:
        return next((key.fingerprint() for key in file.keyring().keys if key.id == key_id), "")
    except ConfigurationInvalid:
        return ""
