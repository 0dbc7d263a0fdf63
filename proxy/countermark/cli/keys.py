"""`countermark keys`: make and list keys."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
from msgspec.structs import replace

from countermark.cli.address import no_such_dialect
from countermark.cli.options import config_option, json_option
from countermark.configuration import read_keyring, read_settings
from countermark.core.encoding import base64
from countermark.core.errors import ConfigurationInvalid
from countermark.keys.keyfile import load, render
from countermark.keys.keyring import HASHES, MACS, SEALS, TOKENS, Algorithm, Key, usual_life
from countermark.keys.material import new_private, public_of
from countermark.keys.replacement import replaced
from countermark.signing.table import KEY_USES


@click.group("keys")
def command() -> None:
    """Make and list signing keys."""


@command.command("new")
@click.option("--id", "key_id", help="Id of the key; it stands in native URLs. Default: k and the date.")
@click.option("--dialect", help="What the key signs; docs/dialects.md lists them. Default: native.")
@click.option("--algorithm", help="Default: the dialect's first.")
@click.option("--site", "sites", multiple=True, help="A site that it opens; may be repeated. Default: all.")
@click.option("--replace", "old_id", metavar="ID", help="Write it into the keyring file, in the place of this key.")
@config_option
@json_option
def new(
    key_id: str | None,
    dialect: str | None,
    algorithm: str | None,
    sites: tuple[str, ...],
    old_id: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Print a new key as an entry of the keyring file, secret included.

    Where the vendor keeps public keys alone, the entry has the public half, and the private one is shown once, on
    standard error: base64 of PKCS #8.

    With --replace the new key has the old one's dialect, algorithm, sites and longest life. The old one opens nothing any
    more as soon as the gateway has read the file again; to let both open for a while, add a key and make the old one
    retiring.

    \b
    Example:
      countermark keys new --id k1 --site shop >> keys.yaml
      countermark keys new --replace k1 --id k2
    """
    key_id = key_id or time.strftime("k%Y%m%d", time.gmtime())
    if old_id is not None:
        if dialect or algorithm or sites:
            raise click.UsageError("--replace takes dialect, algorithm and sites from the key that is replaced.")
        _replace(old_id, key_id, config, as_json=as_json)
        return
    dialect = dialect or "native"
    if dialect not in KEY_USES:
        raise click.UsageError(no_such_dialect(dialect))
    algorithms = KEY_USES[dialect].algorithms
    if algorithm is not None and algorithm not in algorithms:
        raise click.UsageError(f"A key of {dialect} is for one of {', '.join(algorithms)}, not for {algorithm}.")
    chosen = next(name for name in algorithms if algorithm in (None, name))
    material, private = _material(chosen)
    key = Key(
        id=key_id,
        dialect=dialect,
        algorithm=chosen,
        material=material,
        private=private,
        salt=secrets.token_bytes(32) if KEY_USES[dialect].salted else b"",
        sites=sites or ("*",),
        max_life=usual_life(chosen),
    )
    text = render(_kept(key))
    try:
        load(text, file="", uses=KEY_USES)
    except ConfigurationInvalid as error:
        faults = (f"{fault.path.rpartition('.')[2]} {fault.message}" for fault in error.faults)
        raise click.UsageError(f"The keyring would refuse this key: {'; '.join(faults)}.") from None
    _show(key, as_json=as_json)


def _replace(old_id: str, key_id: str, config: Path, *, as_json: bool) -> None:
    settings = read_settings(config)
    old = next((key for key in read_keyring(settings).keys if key.id == old_id), None)
    if old is None:
        raise click.ClickException(f"The keyring has no key {old_id}.")
    material, private = _material(old.algorithm)
    salt = secrets.token_bytes(32) if old.salt else b""
    fresh = {"state": "active", "not_before": None, "not_after": None, "salt": salt}
    key = replace(old, id=key_id, material=material, private=private, **fresh)
    path = Path(settings.keys)
    try:
        text = replaced(path.read_text(encoding="utf-8"), old_id, _kept(key))
        load(text, file=str(path), uses=KEY_USES)
    except ConfigurationInvalid as error:
        raise click.ClickException(str(error)) from None
    _write(path, text)
    _show(key, as_json=as_json)


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


def _kept(key: Key) -> Key:
    """The key as the file holds it."""
    return replace(key, private=b"") if KEY_USES[key.dialect].private_once else key


def _show(key: Key, *, as_json: bool) -> None:
    text = render(_kept(key))
    once = base64(key.private) if key.private and not _kept(key).private else ""
    if as_json:
        shown = {"id": key.id, "fingerprint": key.fingerprint(), "entry": text}
        click.echo(json.dumps({**shown, "private": once} if once else shown))
        return
    click.echo(text, nl=False)
    if once:
        click.echo(f"The private key of {key.id}; it is shown this once:\n{once}", err=True)


def _write(path: Path, text: str) -> None:
    """In one step and with the rights of the old file: whoever reads meanwhile gets the one or the other whole."""
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    written = Path(file.name)
    written.chmod(path.stat().st_mode)
    written.replace(path)


def _material(algorithm: Algorithm) -> tuple[bytes, bytes]:
    if algorithm in HASHES or algorithm in TOKENS:
        return secrets.token_urlsafe(32).encode(), b""
    if algorithm in MACS or algorithm in SEALS:
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
