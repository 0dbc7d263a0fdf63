"""Reads the settings file, the secrets beside it, the keyring and the watermarks, for the gateway and its commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyfile import load as load_keys
from countermark.keys.keyring import Key, Keyring
from countermark.settings.anchor import anchored
from countermark.settings.document import MAX_BYTES, decode
from countermark.settings.load import load, secret_files
from countermark.settings.model import Settings
from countermark.settings.tokens import AdminToken, load_tokens
from countermark.signing.table import KEY_USES, OPTIONS


class Configuration(Struct, frozen=True, kw_only=True):
    """Everything that a start or a reload reads, of one moment and free of faults.

    The supervisor reads it and hands it to its workers whole, so that no worker, not even one that replaces a dead one
    later, runs with files that have changed since.
    """

    settings: Settings
    keys: tuple[Key, ...]
    watermarks: dict[str, bytes]
    admin_tokens: tuple[AdminToken, ...] = ()

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.keys)


def read_configuration(path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """The settings and all files that they name. Raises ConfigurationInvalid with all faults."""
    settings = read_settings(path, environ)
    faults: list[Fault] = []
    try:
        keys = read_keyring(settings).keys
    except ConfigurationInvalid as invalid:
        keys = ()
        faults += invalid.faults
    try:
        watermarks = read_watermarks(settings)
    except ConfigurationInvalid as invalid:
        watermarks = {}
        faults += invalid.faults
    try:
        admin_tokens = read_admin_tokens(settings)
    except ConfigurationInvalid as invalid:
        admin_tokens = ()
        faults += invalid.faults
    if faults:
        raise ConfigurationInvalid(faults)
    return Configuration(settings=settings, keys=keys, watermarks=watermarks, admin_tokens=admin_tokens)


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file and the environment, with absolute paths. Raises ConfigurationInvalid with all faults."""
    text = _text(path)
    secrets = {name: _secret(Path(file)) for name, file in secret_files(environ).items()}
    settings = load(text, file=str(path), environ={**environ, **secrets}, dialects=OPTIONS)
    return anchored(settings, str(path.absolute().parent))


def read_keyring(settings: Settings) -> Keyring:
    """The keyring that the settings name. Raises ConfigurationInvalid with all faults."""
    path = Path(settings.keys)
    return load_keys(_text(path, "; `countermark keys new` makes a key"), file=str(path), uses=KEY_USES)


def read_admin_tokens(settings: Settings) -> tuple[AdminToken, ...]:
    """The tokens of the admin API, none where it is off. Raises ConfigurationInvalid with all faults."""
    path = settings.admin.tokens
    advice = "; `countermark admin token new` makes an entry"
    return load_tokens(_text(Path(path), advice), file=path) if path else ()


def read_watermarks(settings: Settings) -> dict[str, bytes]:
    """The watermark images by name, as files hold them. Raises ConfigurationInvalid with all that cannot be read."""
    images, faults = {}, []
    for name, watermark in settings.watermarks.items():
        try:
            images[name] = Path(watermark.image).read_bytes()
        except OSError as error:
            message = f"{watermark.image} cannot be read: {error.strerror or error}"
            faults.append(Fault(path=f"watermarks.{name}.image", message=message))
    if faults:
        raise ConfigurationInvalid(faults)
    return images


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
