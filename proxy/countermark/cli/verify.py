"""`countermark verify`: does this URL open its site now?"""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from countermark.cli.address import (
    AddressType,
    HeaderType,
    dialect_option,
    find_dialects,
    find_site,
    host_of,
    site_option,
    split_url,
)
from countermark.cli.options import config_option, json_option
from countermark.configuration import read_keyring, read_settings
from countermark.core.errors import CountermarkError
from countermark.core.request import Address
from countermark.signing.explain import Explanation, explain
from countermark.signing.findings import NOWHERE
from countermark.signing.realm import realm_of

ip_option = click.option(
    "--ip",
    "client",
    type=AddressType(),
    default=str(NOWHERE),
    help="The client's address, for URLs that are bound to one.",
)

header_option = click.option(
    "--header",
    "headers",
    type=HeaderType(),
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header field of the request, such as 'Cookie: …'; may be given again.",
)


def explanation(
    url: str,
    config: Path,
    site_name: str | None,
    dialect_name: str | None,
    client: Address,
    headers: tuple[tuple[str, str], ...],
) -> Explanation:
    """What the gateway would make of a URL at this moment. Raises click errors for settings that cannot be used."""
    settings = read_settings(config)
    keyring = read_keyring(settings)
    origin, raw = split_url(url)
    try:
        realm = realm_of(find_site(settings, site_name, origin, raw))
    except CountermarkError as error:
        raise click.ClickException(error.detail) from None
    realm = replace(realm, dialects=find_dialects(realm, dialect_name))
    return explain(
        raw,
        realm=realm,
        keyring=keyring,
        now=time.time(),
        client=client,
        host=host_of(origin),
        headers=_joined(headers),
    )


def _joined(fields: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Fields as `EdgeRequest` has them: a repeated one is joined."""
    headers: dict[str, str] = {}
    for name, value in fields:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def verdict(found: Explanation) -> str:
    """One line: what it is, or why not."""
    if not found.good:
        return f"refused: {found.reason}: {found.detail}"
    until = "for ever" if found.expires_in is None else f"for {found.expires_in} more seconds"
    return f"good: site {found.site}, dialect {found.dialect}, key {found.key_id}, {until}"


@click.command("verify")
@click.argument("url")
@config_option
@site_option
@dialect_option
@ip_option
@header_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    url: str,
    config: Path,
    site_name: str | None,
    dialect_name: str | None,
    client: Address,
    headers: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Say whether a signed URL would be accepted now; exit 0 if so, 1 if not.

    \b
    Example:
      countermark verify 'https://img.example.com/shop/cat.jpg?exp=…&kid=k1&sig=…'
      countermark verify --header 'Cookie: CloudFront-Policy=…' https://img.example.com/shop/cat.jpg
      countermark verify --dialect keycdn_access --ip 203.0.113.7 'https://cdn.example.com/cat.jpg?token=…&expire=…'
    """
    found = explanation(url, config, site_name, dialect_name, client, headers)
    facts = {name: getattr(found, name) for name in ("good", "site", "dialect", "key_id", "reason", "detail")}
    facts["expires_in"] = found.expires_in
    click.echo(msgspec.json.encode(facts).decode() if as_json else verdict(found))
    ctx.exit(0 if found.good else 1)
