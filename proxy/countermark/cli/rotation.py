"""`countermark keys rotate` and `revoke`: keys follow one another, or leave."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Collection, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from countermark.cli.keyring_file import Change, KeyringFile, keyring_file, sealed
from countermark.cli.options import config_option, json_option
from countermark.configuration import read_settings, rotation_rules
from countermark.core.errors import ConfigurationInvalid
from countermark.keys.keyfile import render
from countermark.keys.keyring import HASHES, MACS, SEALS, TOKENS, Algorithm, Key
from countermark.keys.material import new_private, public_of
from countermark.keys.replacement import amended, appended, fields, removed
from countermark.keys.schedule import Step, changed, plan, successor
from countermark.settings.model import Settings
from countermark.settings.units import format_moment

TOKEN = "COUNTERMARK_ADMIN_TOKEN"  # noqa: S105 - the variable's name

_USES = re.compile(r'^countermark_key_uses_total\{key_id="([^"]+)"\} ([0-9.e+]+)$', re.MULTILINE)
_ADMIN_SECONDS = 90.0

reload_option = click.option(
    "--reload", "reloads", is_flag=True, help=f"Have the running gateway take it, with the admin token in {TOKEN}."
)


@click.command("rotate")
@click.option("--if-due", is_flag=True, help="Do only what its age asks for; for a timer.")
@click.option(
    "--dry-run", is_flag=True, help="Only tell what would be done, and by /metrics who still signs with what."
)
@reload_option
@config_option
@json_option
def rotate(if_due: bool, dry_run: bool, reloads: bool, config: Path, as_json: bool) -> None:
    """Let the keys of the dialects in the setting `rotation` follow one another.

    The published key of each line becomes the one that signs, the one before verifies until what it signed has ended, a
    new one is published, and what is over is removed. It may run late, twice or after a gap. Without --if-due keys are
    taken for due whatever their age; one that was not published for long enough still waits.

    \b
    Example:
      countermark keys rotate --if-due --reload
    """
    settings = read_settings(config)
    now = int(time.time())
    with keyring_file(settings) as file:
        rules = rotation_rules(settings)
        if not rules:
            raise click.ClickException(
                "The setting rotation names no dialect; `rotation: { native: {} }` rotates weekly."
            )
        keys = {key.id: key for key in file.keyring().keys}
        steps = plan(keys.values(), rules, now, due=not if_due)
        if dry_run:
            _tell_plan(steps, keys, _uses(settings), as_json=as_json)
            return
        changes = carry_out(steps, keys, file, now)
    _tell(changes, as_json=as_json)
    _hand_over(settings, changes, reloads=reloads)


@click.command("revoke")
@click.argument("key_id", metavar="ID")
@reload_option
@config_option
@json_option
def revoke(key_id: str, reloads: bool, config: Path, as_json: bool) -> None:
    """Take a key out of use: nothing that it signed opens any more once the gateway has read the file again.

    It needs no key management service. `countermark keys rotate` then lets its published successor sign.

    \b
    Example:
      countermark keys revoke k1 --reload
    """
    settings = read_settings(config)
    now = int(time.time())
    with keyring_file(settings) as file:
        held = fields(file.text, key_id)
        text = amended(file.text, key_id, {"state": "revoked", "since": format_moment(now)})
        change = Change(
            key=key_id,
            dialect=held.get("dialect", "native"),
            fingerprint=_fingerprint(file, key_id),
            before=held.get("state", "active"),
            after="revoked",
        )
        # Not checked: a key must leave although another one of the file, or who opens it, is in trouble.
        file.write(text, [change], now, checked=False)
    _tell([change], as_json=as_json)
    _hand_over(settings, [change], reloads=reloads)


def make_material(algorithm: Algorithm) -> tuple[bytes, bytes]:
    """A new secret, or both halves of a new key pair."""
    if algorithm in HASHES or algorithm in TOKENS:
        return secrets.token_urlsafe(32).encode(), b""
    if algorithm in MACS or algorithm in SEALS:
        return secrets.token_bytes(32), b""
    private = new_private(algorithm)
    return public_of(algorithm, private), private


def carry_out(steps: Sequence[Step], keys: dict[str, Key], file: KeyringFile, now: int) -> list[Change]:
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
        file.write(text, changes, now)
    return changes


def _written(key: Key, held: dict[str, str], file: KeyringFile) -> dict[str, str]:
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


def _tell(changes: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps([{name: getattr(change, name) for name in change.__struct_fields__} for change in changes])
        )
        return
    for change in changes:
        until = f", verifies until {change.not_after}" if change.not_after else ""
        click.echo(
            f"{change.key} ({change.dialect}, {change.fingerprint}): {change.before or 'new'} -> {change.after}{until}"
        )
    if not changes:
        click.echo("nothing is due")


def _tell_plan(steps: Sequence[Step], keys: dict[str, Key], uses: dict[str, float] | None, *, as_json: bool) -> None:
    if as_json:
        rows = [{"action": step.action, "key": step.key_id, "not_after": step.not_after} for step in steps]
        click.echo(json.dumps({"steps": rows, "uses": uses}))
        return
    for step in steps:
        until = f", verifies until {format_moment(step.not_after)}" if step.not_after is not None else ""
        named = f"a successor of {step.key_id}" if step.action == "publish" else step.key_id
        click.echo(f"would {step.action} {named}{until}")
    if not steps:
        click.echo("nothing is due")
    if uses is None:
        click.echo("no gateway answers at server.admin, so nobody says which keys are in use")
        return
    for key_id, key in keys.items():
        if key.state in ("active", "retiring"):
            click.echo(f"{key_id} ({key.state}): {uses.get(key_id, 0):.0f} requests since the gateway started")


def _uses(settings: Settings) -> dict[str, float] | None:
    """Requests by key id, as the running gateway counts them; None where none answers."""
    try:
        status, body = _ask(settings, "GET", "/metrics", {})
    except (OSError, HTTPException):
        return None
    return {key_id: float(count) for key_id, count in _USES.findall(body)} if status == 200 else None


def _hand_over(settings: Settings, changes: Sequence[Change], *, reloads: bool) -> None:
    """The running gateway takes the new file, or whoever reads this learns how it does."""
    if not changes:
        return
    if not reloads:
        click.echo("the running gateway takes it with SIGHUP, or here with --reload", err=True)
        return
    token = os.environ.get(TOKEN, "")
    if not token:
        raise click.ClickException(f"The file is changed, but not reloaded: {TOKEN} holds no admin token.")
    try:
        status, body = _ask(settings, "POST", "/v1/reload", {"Authorization": f"Bearer {token}"})
    except (OSError, HTTPException) as error:
        raise click.ClickException(
            f"The file is changed, but {settings.server.admin} does not answer: {error}"
        ) from None
    if status != 200:
        raise click.ClickException(f"The file is changed, but the gateway did not take it: {status} {body.strip()}")
    click.echo("the running gateway has taken it", err=True)


def _ask(settings: Settings, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    connection = HTTPConnection(settings.server.admin, timeout=_ADMIN_SECONDS)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(4 << 20).decode(errors="replace")
    finally:
        connection.close()
