"""`countermark sign`: make a signed URL."""

from __future__ import annotations

import json
import secrets
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click

from countermark.cli.address import NetworkType, dialect_option, find_dialects, find_site, site_option, split_url
from countermark.cli.options import config_option, json_option
from countermark.configuration import read_keyring, read_settings
from countermark.core.errors import CountermarkError
from countermark.core.grant import Network
from countermark.core.request import Address, EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.units import parse_life
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.expiry import quantised
from countermark.signing.findings import NOWHERE
from countermark.signing.realm import realm_of, waivers
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate


class LifeType(click.ParamType[int]):
    """A life in seconds, written 90s, 15m, 12h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_life(value)
        except ValueError:
            self.fail("must be a duration such as 15m, 12h or 7d", param, ctx)


@click.command("sign")
@click.argument("url", metavar="PATH?OPERATIONS")
@config_option
@site_option
@dialect_option
@click.option("--key", "key_id", help="Id of the signing key; else the first active one that the site takes.")
@click.option("--expires-in", "life", type=LifeType(), default="1h", show_default=True, help="Longest life of the URL.")
@click.option("--exact", is_flag=True, help="Expire at exactly that time; else the URL stays the same for a while.")
@click.option("--starts-in", "start", type=LifeType(), help="Refuse the URL until then, where the dialect can say so.")
@click.option("--ip", "address", type=NetworkType(), help="Bind the URL to this client address or network.")
@click.option("--with", "extras", type=(str, str), multiple=True, metavar="NAME VALUE", help="A vendor's own word.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument an option
    url: str,
    config: Path,
    site_name: str | None,
    dialect_name: str | None,
    key_id: str | None,
    life: int,
    exact: bool,
    start: int | None,
    address: Address | Network | None,
    extras: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Print the signed URL of a picture and its operations.

    The path is the URL's own, escaped, with the site's prefix; a scheme and host before it are kept. The operations are
    written as the dialect writes them. The expiry is rounded down to a quarter of the life, so that one picture keeps
    one URL that caches can keep. The URL is printed only if the site would take it.

    \b
    Example:
      countermark sign '/shop/cat.jpg?w=800&fit=cover'
      countermark sign --key k1 --expires-in 7d https://img.example.com/shop/cat.jpg
      countermark sign --dialect keycdn_image 'https://img.example.com/shop/cat.jpg?width=800'
      countermark sign --ip 203.0.113.0/24 --starts-in 10m --json /shop/cat.jpg
    """
    settings = read_settings(config)
    keyring = read_keyring(settings)
    origin, raw = split_url(url)
    now = time.time()
    try:
        realm = realm_of(find_site(settings, site_name, origin, raw))
        key = _key(keyring, realm, find_dialects(realm, dialect_name), key_id, now)
        expires = int(now + life) if exact else quantised(now, life)
        waive = waivers(realm)
        begin = None if start is None else int(now) + start
        nonce = secrets.token_urlsafe(16)
        order = MintOrder(
            now=int(now), expires=expires, not_before=begin, address=address, extras=dict(extras), nonce=nonce
        )
        target = DIALECTS[key.dialect].mint(parse_target(raw, waive=waive), realm, key, order)
        request = _request(parse_target(target, waive=waive), address)
        claims = authenticate(request, realm, keyring, now if begin is None else max(now, begin))
    except CountermarkError as error:
        raise click.ClickException(f"{error.detail} {error.private}".strip()) from None
    signed = {"url": origin + target, "site": realm.site, "dialect": key.dialect, "key": key.id}
    click.echo(json.dumps({**signed, "expires": claims.expires}) if as_json else origin + target)


def _key(keyring: Keyring, realm: Realm, dialects: tuple[str, ...], key_id: str | None, now: float) -> Key:
    """The key that was asked for, or the first that may sign, in the order of the dialects."""
    fitting = [
        key
        for dialect in dialects
        for key in keyring.keys
        if key.dialect == dialect and key.opens(realm.site) and key.signs(now) and key_id in (None, key.id)
    ]
    if not fitting:
        wanted = f"active key {key_id}" if key_id else "active key"
        raise click.ClickException(f"There is no {wanted} for site {realm.site} ({', '.join(dialects)}).")
    return fitting[0]


def _request(target: Target, address: Address | Network | None) -> EdgeRequest:
    """The request that will come, to see that it will be taken."""
    client = NOWHERE if address is None else ip_network(address).network_address
    return EdgeRequest(id="", method="GET", target=target, host="", client=client, headers={}, received=0.0)
