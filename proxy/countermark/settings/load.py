"""Reads the settings: text and environment in, a whole `Settings` or every fault at once out."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import inspect

from countermark.core.errors import ConfigurationInvalid
from countermark.settings import environment
from countermark.settings.convert import Reading, convert
from countermark.settings.crosscheck import Dialects, crosscheck
from countermark.settings.document import parse
from countermark.settings.model import Settings

_KIND = inspect.type_info(Settings)


def load(text: str, *, file: str = "", environ: Mapping[str, str] = {}, dialects: Dialects | None = None) -> Settings:
    """The settings of a YAML text, with the variables of `environ` written over it.

    `file` names the text in faults; `dialects` are the signature dialects that sites may accept, with their options; None
    leaves both unchecked. Raises ConfigurationInvalid with all faults, in the order in which they are written.
    """
    reading = Reading()
    tree = environment.overlay(parse(text, file=file), environ, _KIND, reading)
    settings: Settings = convert(tree, _KIND, "", reading)
    for path, message in crosscheck(settings, dialects):
        reading.fault(path, message)
    if reading.faults:
        raise ConfigurationInvalid(sorted(reading.faults, key=lambda fault: (fault.file, fault.line, fault.column)))
    return settings


def secret_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Files to be read into `environ` before `load`, by variable; see `environment.secret_files`."""
    return environment.secret_files(environ, _KIND)
