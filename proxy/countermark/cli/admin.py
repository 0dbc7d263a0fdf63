"""`countermark admin`: tokens for the admin API."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, get_args

import click

from countermark.cli.moments import spelled
from countermark.cli.options import config_option, json_option
from countermark.cli.sign import LifeType
from countermark.configuration import read_admin_tokens, read_settings
from countermark.core.errors import ConfigurationInvalid
from countermark.settings.tokens import AdminToken, Role, load_tokens, render_token
from countermark.web.admin_gate import hash_of, new_token


@click.group("admin")
def command() -> None:
    """Whoever may use the admin API."""


@command.group("token")
def token() -> None:
    """Make and list tokens of the admin API.

    \b
    Example:
      countermark admin token new --help
    """


@token.command("new")
@click.option("--name", required=True, help="Stands in the log beside whatever is done with it.")
@click.option(
    "--role", "roles", type=click.Choice(get_args(Role)), multiple=True, required=True, help="May be repeated."
)
@click.option("--site", "sites", multiple=True, help="A site that it is for; may be repeated. Default: all.")
@click.option("--for", "life", type=LifeType(), help="It is over after this time. Default: never.")
@json_option
def new(name: str, roles: tuple[Role, ...], sites: tuple[str, ...], life: int | None, as_json: bool) -> None:
    """Print a new token as an entry of the file that admin.tokens names; the token itself on standard error, this once.

    \b
    Example:
      countermark admin token new --name oncall --role operator --for 90d >> admin-tokens.yaml
    """
    text = new_token()
    expires = None if life is None else int(time.time()) + life
    entry = render_token(
        AdminToken(name=name, sha256=hash_of(text), roles=roles, sites=sites or ("*",), expires=expires)
    )
    try:
        load_tokens(entry, file="")
    except ConfigurationInvalid as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps({"name": name, "token": text, "entry": entry}))
        return
    click.echo(entry, nl=False)
    click.echo(f"The token {name}; it is shown this once:\n{text}", err=True)


@token.command("list")
@config_option
@json_option
def list_tokens(config: Path, as_json: bool) -> None:
    """List the tokens of the file that admin.tokens names; a running gateway knows them since its last reload.

    \b
    Example:
      countermark admin token list --config settings.yaml
    """
    settings = read_settings(config)
    if not settings.admin.tokens:
        raise click.ClickException("admin.tokens names no file, so the admin API is off.")
    now = time.time()
    for entry in read_admin_tokens(settings):
        row = _row(entry, now)
        click.echo(json.dumps(row) if as_json else "  ".join(str(value) for value in row.values()))


def _row(entry: AdminToken, now: float) -> dict[str, Any]:
    over = entry.expires is not None and now > entry.expires
    return {
        "name": entry.name,
        "roles": ",".join(entry.roles),
        "sites": ",".join(entry.sites),
        "expires": "over" if over else spelled(entry.expires),
    }
