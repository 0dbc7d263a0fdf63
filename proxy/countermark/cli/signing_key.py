"""Which key signs, and why none can."""

from __future__ import annotations

import click

from countermark.keys.keyring import HASHES, MACS, Key, Keyring
from countermark.signing.dialect import Realm
from countermark.signing.table import DIALECTS


def find_signing_key(keyring: Keyring, realm: Realm, dialects: tuple[str, ...], key_id: str | None, now: float) -> Key:
    """The key that was asked for, or the first that can sign a URL, in the order of the dialects.

    Raises click.ClickException with what is in the way of each dialect.
    """
    if key_id is not None:
        _refuse_foreign(keyring, dialects, key_id)
    faults = []
    for dialect in dialects:
        unminted = DIALECTS[dialect].capabilities.unminted
        keys = [key for key in keyring.keys if key.dialect == dialect and key_id in (None, key.id)]
        reasons = [unminted] if unminted else [_unfit(key, realm, now) for key in keys]
        if "" in reasons:
            return keys[reasons.index("")]
        if not reasons and key_id is None:
            makes = f"`countermark keys new --dialect {dialect} --site {realm.site}` prints one for it"
            reasons = [f"the keyring has no key of it; {makes}"]
        faults += [f"{dialect}: {reason}" for reason in reasons]
    raise click.ClickException("\n  ".join([f"No key can sign a URL of site {realm.site}.", *faults]))


def _unfit(key: Key, realm: Realm, now: float) -> str:
    """Why this key does not sign for the site, "" where it does."""
    if not key.opens(realm.site):
        return f"key {key.id} is for {', '.join(key.sites)} only"
    if key.state != "active":
        return f"key {key.id} is {key.state}"
    if not key.signs(now):
        return f"key {key.id} is outside of its dates (not_before, not_after)"
    if key.algorithm not in (*MACS, *HASHES) and not key.private:
        return f"key {key.id} has no private half in the keyring: it verifies only"
    return ""


def _refuse_foreign(keyring: Keyring, dialects: tuple[str, ...], key_id: str) -> None:
    named = [key for key in keyring.keys if key.id == key_id]
    if not named:
        there = ", ".join(key.id for key in keyring.keys) or "none"
        raise click.ClickException(f"The keyring has no key {key_id}; there are {there}.")
    if named[0].dialect not in dialects:
        raise click.ClickException(
            f"Key {key_id} belongs to the dialect {named[0].dialect}, not to {', '.join(dialects)}."
        )
