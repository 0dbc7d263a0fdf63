"""`countermark keys`: make, list and seal keys."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path

import click
from msgspec.structs import replace

from countermark.backends.kms.local import new_master
from countermark.cli.address import no_such_dialect
from countermark.cli.options import config_option, json_option
from countermark.cli.rotation import revoke, rotate
from countermark.configuration import key_wrapper, read_keyring, read_settings, rotation_rules
from countermark.core.encoding import base64
from countermark.core.errors import ConfigurationInvalid, KmsUnavailable
from countermark.keys.keyfile import load, render
from countermark.keys.keyring import Key, usual_life
from countermark.keys.replacement import amended, fields, replaced
from countermark.keys.schedule import Rule, next_change
from countermark.keys.sealed import hidden
from countermark.rotation.file import KeyringFile, keyring_file, sealed
from countermark.rotation.turn import make_material
from countermark.settings.units import format_moment
from countermark.signing.table import KEY_USES

_SECRETS = frozenset({"secret", "text_secret", "hex_secret", "base64_secret", "private", "private_pem"})
_NO_KMS = "The setting kms names nobody who seals; `countermark keys master` makes a key for kms: local:FILE."


@click.group("keys")
def command() -> None:
    """Make, list, seal, rotate and revoke keys."""


command.add_command(rotate)
command.add_command(revoke)


@command.command("new")
@click.option("--id", "key_id", help="Id of the key; it stands in native URLs. Default: k and the date.")
@click.option("--dialect", help="What the key signs; docs/dialects.md lists them. Default: native.")
@click.option("--algorithm", help="Default: the dialect's first.")
@click.option("--site", "sites", multiple=True, help="A site that it opens; may be repeated. Default: all.")
@click.option("--sealed", "sealing", is_flag=True, help="Print it sealed by the service that the setting kms names.")
@click.option("--replace", "old_id", metavar="ID", help="Write it into the keyring file, in the place of this key.")
@config_option
@json_option
def new(
    key_id: str | None,
    dialect: str | None,
    algorithm: str | None,
    sites: tuple[str, ...],
    sealing: bool,
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
        if dialect or algorithm or sites or sealing:
            raise click.UsageError(
                "--replace takes dialect, algorithm, sites and the rest from the key that is replaced."
            )
        _replace(old_id, key_id, config, as_json=as_json)
        return
    dialect = dialect or "native"
    if dialect not in KEY_USES:
        raise click.UsageError(no_such_dialect(dialect))
    algorithms = KEY_USES[dialect].algorithms
    if algorithm is not None and algorithm not in algorithms:
        raise click.UsageError(f"A key of {dialect} is for one of {', '.join(algorithms)}, not for {algorithm}.")
    chosen = next(name for name in algorithms if algorithm in (None, name))
    material, private = make_material(chosen)
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
    _show(key, _sealed_entry(key, config) if sealing else text, as_json=as_json)


def _replace(old_id: str, key_id: str, config: Path, *, as_json: bool) -> None:
    with keyring_file(read_settings(config)) as file:
        old = next((key for key in file.keyring().keys if key.id == old_id), None)
        if old is None:
            raise click.ClickException(f"The keyring has no key {old_id}.")
        material, private = make_material(old.algorithm)
        salt = secrets.token_bytes(32) if old.salt else b""
        fresh = {"state": "active", "not_before": None, "not_after": None, "salt": salt}
        key = replace(old, id=key_id, material=material, private=private, **fresh)
        file.write(replaced(file.text, old_id, _kept(key)))
    _show(key, render(_kept(key)), as_json=as_json)


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
    settings = read_settings(config)
    rules = rotation_rules(settings)
    rows = [_row(key, rules.get(key.dialect), now) for key in read_keyring(settings).keys]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(
            "  ".join(str(row[name]) for name in ("id", "dialect", "algorithm", "state", "fingerprint", "sites", "due"))
        )


@command.command("seal")
@click.option(
    "--from", "old_kms", metavar="KMS", help="What opens those that are sealed already: they are sealed anew."
)
@config_option
@json_option
def seal(old_kms: str | None, config: Path, as_json: bool) -> None:
    """Seal the keys of the keyring file by the service that the setting kms names. There is no way back.

    With --from those that another service has sealed are sealed anew; it is written like the setting.

    \b
    Example:
      countermark keys seal
      countermark keys seal --from local:./old-master.key
    """
    settings = read_settings(config)
    with keyring_file(settings) as file:
        if file.wrapper is None:
            raise click.ClickException(_NO_KMS)
        old = file if old_kms is None else KeyringFile(replace(settings, kms=old_kms))
        text, done = file.text, []
        for key in old.keyring().keys:
            place = next((name for name in fields(text, key.id) if name in _SECRETS), "")
            if hidden(key) and (place or old_kms is not None):
                text = amended(
                    text, key.id, {"sealed": sealed(key, file.wrapper)}, instead={"sealed": place or "sealed"}
                )
                done.append(key.id)
        file.write(text)
    click.echo(json.dumps({"sealed": done}) if as_json else f"sealed: {', '.join(done) or 'nothing was plain'}")


@command.command("master")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def master(file: Path) -> None:
    """Write a new master key into a new file, for the setting kms: local:FILE.

    \b
    Example:
      countermark keys master ./master.key
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror or error}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as written:
        written.write(new_master())


def _kept(key: Key) -> Key:
    """The key as the file holds it."""
    return replace(key, private=b"") if KEY_USES[key.dialect].private_once else key


def _sealed_entry(key: Key, config: Path) -> str:
    try:
        wrapper = key_wrapper(read_settings(config))
        if wrapper is None:
            raise click.ClickException(_NO_KMS)
        if not hidden(_kept(key)):
            raise click.UsageError(f"The keyring holds nothing secret of a key of {key.dialect}.")
        return render(key, sealed(key, wrapper))
    except (ConfigurationInvalid, KmsUnavailable) as error:
        raise click.ClickException(str(error)) from None


def _show(key: Key, text: str, *, as_json: bool) -> None:
    once = base64(key.private) if key.private and not _kept(key).private else ""
    if as_json:
        shown = {"id": key.id, "fingerprint": key.fingerprint(), "entry": text}
        click.echo(json.dumps({**shown, "private": once} if once else shown))
        return
    click.echo(text, nl=False)
    if once:
        click.echo(f"The private key of {key.id}; it is shown this once:\n{once}", err=True)


def _due(key: Key, rule: Rule | None) -> str:
    """The key's next step in words, "" where no date says it."""
    moment = key.not_after if rule is None else next_change(key, rule)
    if moment is None:
        return ""
    words = {"pending": "may sign from", "active": "ends" if rule is None else "is followed from"}
    return f"{words.get(key.state, 'ends')} {format_moment(moment)}"


def _row(key: Key, rule: Rule | None, now: float) -> dict[str, object]:
    return {
        "id": key.id,
        "dialect": key.dialect,
        "algorithm": key.algorithm,
        "state": key.state,
        "verifies_now": key.verifies(now),
        "fingerprint": key.fingerprint(),
        "sites": ",".join(key.sites),
        "max_life": key.max_life,
        "due": _due(key, rule),
    }
