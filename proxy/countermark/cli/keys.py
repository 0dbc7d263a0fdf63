"""`countermark keys`: make and list keys."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import click

from countermark.cli.options import config_option, json_option
from countermark.configuration import read_keyring, read_settings
from countermark.core.errors import ConfigurationInvalid
from countermark.keys.keyfile import load, render
from countermark.keys.keyring import HASHES, MACS, Algorithm, Key
from countermark.keys.material import new_private, public_of
from countermark.signing.table import KEY_USES


@click.group("keys")
def command() -> None:
    """Make and list signing keys."""


@command.command("new")
@click.option("--id", "key_id", help="Id of the key; it stands in native URLs. Default: k and the date.")
@click.option("--dialect", type=click.Choice(sorted(KEY_USES)), default="native", show_default=True)
@click.option("--algorithm", help="Default: the dialect's first.")
@click.option("--site", "sites", multiple=True, help="A site that it opens; may be repeated. Default: all.")
@json_option
def new(key_id: str | None, dialect: str, algorithm: str | None, sites: tuple[str, ...], as_json: bool) -> None:
    """Print a new key as an entry of the keyring file, secret included.

    \b
    Example:
      countermark keys new --id k1 --site shop >> keys.yaml
    """
    algorithms = KEY_USES[dialect].algorithms
    if algorithm is not None and algorithm not in algorithms:
        raise click.UsageError(f"{dialect} takes {', '.join(algorithms)}.")
    chosen = next(name for name in algorithms if algorithm in (None, name))
    material, private = _material(chosen)
    key = Key(
        id=key_id or time.strftime("k%Y%m%d", time.gmtime()),
        dialect=dialect,
        algorithm=chosen,
        material=material,
        private=private,
        sites=sites or ("*",),
    )
    text = render(key)
    try:
        load(text, file="", uses=KEY_USES)
    except ConfigurationInvalid as error:
        raise click.UsageError(str(error)) from None
    click.echo(
        json.dumps({"id": key.id, "fingerprint": key.fingerprint(), "entry": text}) if as_json else text, nl=as_json
    )


@command.command("list")
@config_option
@json_option
def list_keys(config: Path, as_json: bool) -> None:
    """List the keys of the keyring without their secrets; the fingerprint tells keys apart.

    \b
    Example:
      countermark keys list --config countermark.yaml
    """
    now = time.time()
    keyring = read_keyring(read_settings(config))
    rows = [_row(key, now) for key in keyring.keys]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(
            "  ".join(str(row[name]) for name in ("id", "dialect", "algorithm", "state", "fingerprint", "sites"))
        )


def _material(algorithm: Algorithm) -> tuple[bytes, bytes]:
    if algorithm in HASHES:
        return secrets.token_urlsafe(32).encode(), b""
    if algorithm in MACS:
        return secrets.token_bytes(32), b""
    private = new_private(algorithm)
    return public_of(algorithm, private), private


def _row(key: Key, now: float) -> dict[str, object]:
    return {
        "id": key.id,
        "dialect": key.dialect,
        "algorithm": key.algorithm,
        "state": key.state,
        "verifies_now": key.verifies(now),
        "fingerprint": key.fingerprint(),
        "sites": ",".join(key.sites),
        "max_life": key.max_life,
    }
