"""Reading the settings and the keyring from disk, for commands."""

from __future__ import annotations

import os
from pathlib import Path

import click

from countermark.core.errors import ConfigurationInvalid
from countermark.keys import keyfile
from countermark.keys.keyring import Keyring
from countermark.settings.load import load, secret_files
from countermark.settings.model import Settings
from countermark.signing.table import DIALECTS, KEY_USES

DEFAULT = "countermark.yaml"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT,
    envvar="COUNTERMARK_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def read_settings(path: Path) -> Settings:
    """The settings of a file, the environment and the secret files that it names.

    Raises click.ClickException (exit code 1) with every fault.
    """
    environ = dict(os.environ)
    try:
        for name, secret in secret_files(environ).items():
            environ[name] = _read(Path(secret)).strip()
        return load(_read(path), file=str(path), environ=environ, dialects=DIALECTS)
    except ConfigurationInvalid as error:
        raise click.ClickException(str(error)) from None


def read_keyring(settings: Settings, config_path: Path) -> Keyring:
    """The keyring that the settings name, beside the settings file. Raises click.ClickException with every fault."""
    path = config_path.parent / settings.keys
    try:
        keyring = keyfile.load(_read(path), file=str(path), uses=KEY_USES)
    except ConfigurationInvalid as error:
        raise click.ClickException(str(error)) from None
    for warning in keyring.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return keyring


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise click.ClickException(f"{path} cannot be read: {reason}") from None
