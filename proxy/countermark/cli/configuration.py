"""Reads the settings file, the secrets beside it and the keyring, for every command that needs them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyfile import load as load_keys
from countermark.keys.keyring import Keyring
from countermark.settings.anchor import anchored
from countermark.settings.document import MAX_BYTES, decode
from countermark.settings.load import load, secret_files
from countermark.settings.model import Settings
from countermark.signing.table import DIALECTS, KEY_USES

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("settings.yaml"),
    envvar="COUNTERMARK_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings file.",
)


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file and the environment, with absolute paths. Raises ConfigurationInvalid with all faults."""
    text = _text(path)
    secrets = {name: _secret(Path(file)) for name, file in secret_files(environ).items()}
    settings = load(text, file=str(path), environ={**environ, **secrets}, dialects=DIALECTS.keys())
    return anchored(settings, str(path.absolute().parent))


def read_keyring(path: Path) -> Keyring:
    """The keyring of a file. Raises ConfigurationInvalid with all faults."""
    return load_keys(_text(path, "; `countermark keys new` makes a key"), file=str(path), uses=KEY_USES)


def _secret(path: Path) -> str:
    return _text(path).removesuffix("\n").removesuffix("\r")


def _text(path: Path, advice: str = "") -> str:
    """A file's text; at most one byte too much is read of it, so that an endless file costs no memory."""
    try:
        with path.open("rb") as file:
            return decode(file.read(MAX_BYTES + 1), file=str(path))
    except OSError as error:
        fault = Fault(path="", file=str(path), message=f"cannot be read: {error.strerror or error}{advice}")
        raise ConfigurationInvalid([fault]) from None
