"""Reads the settings file, the secrets beside it, the keyring and the watermarks, for the gateway and its commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyfile import load as load_keys
from countermark.keys.keyring import Keyring
from countermark.settings.anchor import anchored
from countermark.settings.document import MAX_BYTES, decode
from countermark.settings.load import load, secret_files
from countermark.settings.model import Settings
from countermark.signing.table import KEY_USES, OPTIONS


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


def read_watermarks(settings: Settings) -> dict[str, bytes]:
    """The watermark images by name, as files hold them. Raises ConfigurationInvalid with all that cannot be read."""
    return _files("watermarks.{}.image", {name: mark.image for name, mark in settings.watermarks.items()})


def read_authorities(settings: Settings) -> dict[str, bytes]:
    """The authorities of client certificates by hop, as files hold them. Raises ConfigurationInvalid with all that cannot
    be read."""
    named = {name: hop.client_authorities for name, hop in settings.server.hops.items() if hop.client_authorities}
    return _files("server.hops.{}.client_authorities", named)


def _files(setting: str, named: Mapping[str, str]) -> dict[str, bytes]:
    contents, faults = {}, []
    for name, path in named.items():
        try:
            contents[name] = Path(path).read_bytes()
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror or error}"
            faults.append(Fault(path=setting.format(name), message=message))
    if faults:
        raise ConfigurationInvalid(faults)
    return contents


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
