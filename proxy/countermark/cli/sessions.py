"""`countermark sessions`: sessions in which clients sign their own URLs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from countermark.cli.gateway import Gateway, gateway_options
from countermark.cli.moments import spelled
from countermark.cli.sign import LifeType


@click.group("sessions")
def command() -> None:
    """Open, refresh, end and list the sessions in which clients sign their own URLs."""


@command.command("login")
@click.option("--site", required=True, help="The one site that the session's signatures open.")
@click.option("--user", required=True, help="The user, as you name him.")
@click.option("--client", default="", help="The client that he belongs to.")
@click.option("--template", default="", help="The policy template of the session. Default: the site's own.")
@click.option("--for", "life", type=LifeType(), default="1h", show_default=True, help="How long it lives.")
@gateway_options
def login(gateway: Gateway, *, site: str, user: str, client: str, template: str, life: int, as_json: bool) -> None:
    """Open a session and print its signing seed, this once.

    \b
    Example:
      countermark sessions login --site shop --user alice --for 1h
    """
    order = {"site": site, "user": user, "client_id": client, "template": template, "life": life}
    _show(gateway.ask("POST", "/v1/sessions", body=order), as_json=as_json)


@command.command("refresh")
@click.argument("key_id", metavar="KEY_ID")
@click.option("--template", help="Another policy template from now on.")
@click.option("--for", "life", type=LifeType(), default="1h", show_default=True, help="How long it lives from now on.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="PATH?OPERATIONS",
    help="What the client will sign, held against both templates; may be repeated.",
)
@gateway_options
def refresh(
    gateway: Gateway, *, key_id: str, template: str | None, life: int, targets: tuple[str, ...], as_json: bool
) -> None:
    """Print the next seed of a session. What the old one signed is refused from now on.

    KEY_ID is the present one, ses_SESSION.GENERATION. Targets that a template refuses are listed, on standard error.

    \b
    Example:
      countermark sessions refresh ses_….1 --template render --target '/shop/cat.jpg?w=800'
    """
    name, dot, generation = key_id.removeprefix("ses_").rpartition(".")
    if not dot or not generation.isdecimal():
        raise click.UsageError("KEY_ID is the present one, ses_SESSION.GENERATION.")
    order: dict[str, Any] = {"generation": int(generation), "life": life, "targets": targets}
    if template is not None:
        order["template"] = template
    opened = gateway.ask("POST", f"/v1/sessions/{quote(name, safe='')}/refresh", body=order)
    _show(opened, as_json=as_json)
    for comparison in () if as_json else opened["refused"]:
        click.echo(f"{comparison['target']}\n  old: {comparison['old']}\n  new: {comparison['new']}", err=True)


@command.command("logout")
@click.argument("session", required=False)
@click.option("--user", default="", help="All sessions of a user.")
@click.option("--client", default="", help="All sessions of a client.")
@gateway_options
def logout(gateway: Gateway, *, session: str | None, user: str, client: str, as_json: bool) -> None:
    """End a session by its id, or all of a user or a client; whatever was signed in them is refused from now on.

    \b
    Example:
      countermark sessions logout 5f0c3a9e7b2d41688e16d4c0f7a2b953
      countermark sessions logout --user alice
    """
    if (session is None) == (not user and not client):
        raise click.UsageError("Give a session, or --user or --client.")
    if session is not None:
        ended = gateway.ask("DELETE", f"/v1/sessions/{quote(session, safe='')}")
    else:
        ended = gateway.ask("POST", "/v1/sessions/end", body={"user": user, "client_id": client})
    click.echo(json.dumps(ended) if as_json else "\n".join(f"ended {id}" for id in ended["sessions"]) or "none lives")


@command.command("list")
@click.option("--user", default="", help="Those of a user.")
@click.option("--client", default="", help="Those of a client.")
@gateway_options
def list_sessions(gateway: Gateway, *, user: str, client: str, as_json: bool) -> None:
    """List the living sessions, 1,000 at most, without their seeds.

    \b
    Example:
      countermark sessions list --user alice
    """
    listed = gateway.ask("GET", "/v1/sessions", query={"user": user, "client_id": client})
    if as_json:
        click.echo(json.dumps(listed))
        return
    for session in listed["sessions"]:
        named = (session[name] for name in ("id", "site", "user", "client_id", "template"))
        click.echo("  ".join((*(name or "-" for name in named), f"until {spelled(session['expires'])}")))


def _show(opened: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(opened))
        return
    for name in ("id", "key_id", "seed", "audience"):
        click.echo(f"{name}: {opened[name]}")
    click.echo(f"expires: {spelled(opened['expires'])}")
