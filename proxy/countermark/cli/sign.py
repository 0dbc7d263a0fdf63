"""`countermark sign`: make a signed URL."""

from __future__ import annotations

import json
import secrets
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from countermark.cli.address import NetworkType, find_dialects, find_site, site_option, split_url
from countermark.cli.binding import binding_options, extras
from countermark.cli.options import config_option, json_option
from countermark.cli.signing_key import find_signing_key
from countermark.configuration import read_keyring, read_settings
from countermark.core.errors import CountermarkError
from countermark.core.grant import Claims, Network
from countermark.core.request import Address, EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.units import parse_life
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.expiry import quantised
from countermark.signing.findings import NOWHERE
from countermark.signing.realm import realm_of, waivers
from countermark.signing.table import DIALECTS
from countermark.signing.verify import admit, prove

_NO_COUNTRY = "ZZ"
"""User-assigned in ISO 3166-1, so that no URL is closed to it."""


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
@click.option("--dialect", "dialect_name", help="One of the site's dialects; else the first that can sign.")
@click.option("--key", "key_id", help="Id of the signing key; else the first that can sign for the site.")
@click.option("--expires-in", "life", type=LifeType(), default="1h", show_default=True, help="Longest life of the URL.")
@click.option("--exact", is_flag=True, help="Expire at exactly that time; else the URL stays the same for a while.")
@click.option("--starts-in", "start", type=LifeType(), help="Refuse the URL until then, where the dialect can say so.")
@click.option("--ip", "address", type=NetworkType(), help="Bind the URL to this client address or network.")
@click.option(
    "--with",
    "words",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="A word of the dialect's own, such as acl or prefix; its page in docs/dialects tells which.",
)
@binding_options
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
    words: tuple[tuple[str, str], ...],
    as_json: bool,
    **bound: Any,
) -> None:
    """Print the signed URL of a picture and its operations.

    The path is the URL's own, escaped, with the site's prefix; a scheme and host before it are kept. The operations are
    written as the dialect writes them. The expiry is rounded down to a quarter of the life, so that one picture keeps
    one URL that caches can keep. The URL is printed only if the site would take it, of whoever it is bound to.

    \b
    Example:
      countermark sign '/shop/cat.jpg?w=800&fit=cover'
      countermark sign --key k1 --expires-in 7d https://img.example.com/shop/cat.jpg
      countermark sign --dialect keycdn_image 'https://img.example.com/shop/cat.jpg?width=800'
      countermark sign --ip 203.0.113.0/24 --starts-in 10m --json /shop/cat.jpg
      countermark sign --user zoe --country CH --country DE --once /shop/cat.jpg
    """
    settings = read_settings(config)
    keyring = read_keyring(settings)
    origin, raw = split_url(url)
    now = time.time()
    begin = None if start is None else int(now) + start
    order = MintOrder(
        now=int(now),
        expires=int(now + life) if exact else quantised(now, life),
        not_before=begin,
        address=address,
        nonce=secrets.token_hex(16),
    )
    try:
        realm = realm_of(find_site(settings, site_name, origin, raw))
        key = find_signing_key(keyring, realm, find_dialects(realm, dialect_name), key_id, now)
        order = replace(order, extras=extras(key.dialect, bound, dict(words)))
        target = DIALECTS[key.dialect].mint(parse_target(raw, waive=waivers(realm)), realm, key, order)
        request = _request(parse_target(target, waive=waivers(realm)), address)
    except CountermarkError as error:
        raise click.ClickException(f"{error.detail} {error.private}".strip()) from None
    claims = _taken(request, realm, keyring, key, now if begin is None else max(now, begin))
    signed = {"url": origin + target, "site": realm.site, "dialect": key.dialect, "key": key.id}
    if dialect_name is None and key_id is None and len(realm.dialects) > 1:
        click.echo(f"signed in the dialect {key.dialect}, with key {key.id}; --dialect chooses another", err=True)
    click.echo(json.dumps({**signed, "expires": claims.expires}) if as_json else origin + target)


def _taken(request: EdgeRequest, realm: Realm, keyring: Keyring, key: Key, now: float) -> Claims:
    """What the site makes of the new URL. Raises click.ClickException where it refuses it."""
    try:
        # What the site's outer dialect wants comes with the request, not with its URL.
        proof = prove(request, replace(realm, outer=""), keyring)
        return admit(proof, request.client, now, country=min(proof.claims.countries, default=_NO_COUNTRY))
    except CountermarkError as error:
        if error.dialect in ("", key.dialect):
            raise click.ClickException(f"The site would refuse it: {error.detail} {error.private}".strip()) from None
        raise click.ClickException(
            f"Site {realm.site} would take it for a URL of {error.dialect} and refuse it: {error.detail} "
            f"Put {key.dialect} before {error.dialect} in sites[].accept, or give it a site of its own."
        ) from None


def _request(target: Target, address: Address | Network | None) -> EdgeRequest:
    """The request that will come, to see that it will be taken."""
    client = NOWHERE if address is None else ip_network(address).network_address
    return EdgeRequest(id="", method="GET", target=target, host="", client=client, headers={}, received=0.0)
