"""`countermark revoke`: take back what was signed."""

from __future__ import annotations

import json
import time
from typing import get_args

import click

from countermark.cli.gateway import Gateway, gateway_options
from countermark.cli.moments import MomentType, spelled
from countermark.cli.sign import LifeType
from countermark.identity.revocation import Kind

KINDS: tuple[str, ...] = get_args(Kind)


@click.command("revoke")
@click.option("--url", "signed", help="A signed URL; it is revoked once it proves to be authentic.")
@click.option("--grant", help="A grant by its id, 64 hexadecimal digits, as logs and headers name it.")
@click.option("--jti", help="The issuer's own name for a URL, or the id of a single-use one.")
@click.option("--session", help="Everything that was signed in a session or bound to it.")
@click.option("--user", help="Everything of a user.")
@click.option("--client", help="Everything of a client.")
@click.option("--key", help="Everything that a key has signed.")
@click.option("--template", help="Everything that a policy template allows.")
@click.option("--path", metavar="SITE:PREFIX", help="A path of a site and all beneath it, such as shop:/shop/summer/.")
@click.option("--site", help="The site of --url, where its host and path do not say.")
@click.option("--issued-before", type=MomentType(), help='Only what was issued before this time, or "now".')
@click.option("--reason", default="", help="Why, for people.")
@click.option(
    "--for", "life", type=LifeType(), help="Forget it after this time. Default: never, or when --url has expired."
)
@click.option("--critical", is_flag=True, help="Tell on-call, too.")
@gateway_options
def command(
    gateway: Gateway,
    *,
    signed: str | None,
    site: str | None,
    issued_before: int | None,
    reason: str,
    life: int | None,
    critical: bool,
    as_json: bool,
    **named: str | None,
) -> None:
    """Take back what was signed, on every worker of every gateway, and have CDNs forget it.

    Exactly one of --url, --grant, --jti, --session, --user, --client, --key, --template and --path says what.

    \b
    Example:
      countermark revoke --url 'https://img.example.com/shop/cat.jpg?exp=…&kid=k1&sig=…' --reason 'posted in a forum'
      countermark revoke --key k1 --issued-before 2026-01-31T12:00:00Z --critical
      countermark revoke --path shop:/shop/summer/ --for 7d
    """
    given = [(kind, named[kind]) for kind in KINDS if named[kind] is not None]
    if len(given) + (signed is not None) != 1:
        raise click.UsageError(f"Give exactly one of --url, {', '.join(f'--{kind}' for kind in KINDS)}.")
    order: dict[str, object] = {"reason": reason, "severity": "critical" if critical else "warning"}
    if signed is not None:
        order |= {"url": signed, "site": site or ""}
    else:
        order |= {"kind": given[0][0], "value": given[0][1]}
    if issued_before is not None:
        order["issued_before"] = issued_before
    if life is not None:
        order["expires"] = int(time.time()) + life
    added = gateway.ask("POST", "/v1/revocations", body=order)
    if as_json:
        click.echo(json.dumps(added))
        return
    entry = added["revocation"]
    click.echo(f"revoked {entry['kind']} {entry['value']}, until {spelled(entry.get('expires'))}")
    if added["purging"]:
        click.echo(f"purging {', '.join(added['purging'])}")
