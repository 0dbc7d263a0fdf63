"""`countermark verify`: does this URL open its site now?"""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from countermark.cli.address import (
    AddressType,
    CountryType,
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

country_option = click.option(
    "--country",
    type=CountryType(),
    metavar="CODE",
    help="The client's country, such as CH, for URLs that are bound to some.",
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
    country: str | None,
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
        country=country or "",
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


def bindings(found: Explanation) -> list[str]:
    """One line of what a URL is bound to, where it is bound to anything."""
    # A control or bidirectional character of somebody's URL must not reach the terminal.
    told = [f"{part.name} {part.text if part.text.isprintable() else ascii(part.text)}" for part in found.bound]
    return [f"bound to: {', '.join(told)}"] if told else []


@click.command("verify")
@click.argument("url")
@config_option
@site_option
@dialect_option
@ip_option
@country_option
@header_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    url: str,
    config: Path,
    site_name: str | None,
    dialect_name: str | None,
    client: Address,
    country: str | None,
    headers: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Say whether a signed URL would be accepted now, and whom it is bound to; exit 0 if so, 1 if not.

    Whether it was revoked or used, or its session has ended, stands in the store, which this command does not ask.

    \b
    Example:
      countermark verify 'https://img.example.com/shop/cat.jpg?exp=…&kid=k1&sig=…'
      countermark verify --ip 203.0.113.7 --country CH 'https://img.example.com/shop/cat.jpg?exp=…&geo=CH.DE&…'
      countermark verify --header 'Cookie: CloudFront-Policy=…' https://img.example.com/shop/cat.jpg
      countermark verify --dialect keycdn_access --ip 203.0.113.7 'https://cdn.example.com/cat.jpg?token=…&expire=…'
    """
    found = explanation(url, config, site_name, dialect_name, client, country, headers)
    facts = {name: getattr(found, name) for name in ("good", "site", "dialect", "key_id", "reason", "detail")}
    facts |= {"expires_in": found.expires_in, "bound": found.bound if found.good else ()}
    # Of a URL that is refused, what it says of itself is nobody's word.
    lines = [verdict(found), *(bindings(found) if found.good else [])]
    click.echo(msgspec.json.encode(facts).decode() if as_json else "\n".join(lines))
    ctx.exit(0 if found.good else 1)
