"""`countermark keys rotate` and `revoke`: keys follow one another, or leave."""

from __future__ import annotations

import getpass
import json
import os
import re
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click
import msgspec

from countermark.cli.options import config_option, json_option
from countermark.configuration import read_settings
from countermark.rotation import turn
from countermark.rotation.file import Change
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
    if dry_run:
        foreseen = turn.outlook(settings, now=int(time.time()), due=not if_due)
        _tell_outlook(foreseen, _uses(settings), as_json=as_json)
        return
    changes = turn.rotate(settings, clock=time.time, by=_account(), due=not if_due)
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
    changes = turn.revoke(settings, key_id, clock=time.time, by=_account())
    _tell(changes, as_json=as_json)
    _hand_over(settings, changes, reloads=reloads)


def _account() -> str:
    """Whoever runs this, as the history names him; in a container his number may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _tell(changes: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(changes)))
        return
    for change in changes:
        until = f", verifies until {change.not_after}" if change.not_after else ""
        click.echo(
            f"{change.key} ({change.dialect}, {change.fingerprint}): {change.before or 'new'} -> {change.after}{until}"
        )
    if not changes:
        click.echo("nothing is due")


def _tell_outlook(foreseen: turn.Outlook, uses: dict[str, float] | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"steps": msgspec.to_builtins(foreseen.steps), "uses": uses}))
        return
    for step in foreseen.steps:
        until = f", verifies until {format_moment(step.not_after)}" if step.not_after is not None else ""
        named = f"a successor of {step.key_id}" if step.action == "publish" else step.key_id
        click.echo(f"would {step.action} {named}{until}")
    if not foreseen.steps:
        click.echo("nothing is due")
    if uses is None:
        click.echo("no gateway answers at server.admin, so nobody says which keys are in use")
        return
    for key in foreseen.keys:
        if key.state in ("active", "retiring"):
            click.echo(f"{key.id} ({key.state}): {uses.get(key.id, 0):.0f} requests since the gateway started")


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
