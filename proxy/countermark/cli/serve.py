"""`countermark serve`: the gateway itself."""

from __future__ import annotations

import os
from pathlib import Path

import click

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.load import load, secret_files
from countermark.settings.model import Settings
from countermark.web import supervisor


def read_settings(path: Path) -> Settings:
    """The settings of a file with the environment over it. Raises ConfigurationInvalid, also where a file is missing."""
    environ = dict(os.environ)
    try:
        for variable, secret in secret_files(environ).items():
            environ[variable] = Path(secret).read_text().strip()
        return load(path.read_text(), file=str(path), environ=environ)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationInvalid([Fault(path="", file=str(path), message=str(error))]) from error


@click.command("serve")
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The settings file. SIGHUP reads it again."
)
def command(config: Path) -> None:
    """Serve until SIGTERM."""
    path = config.absolute()
    try:
        status = supervisor.serve(lambda: read_settings(path), folder=path.parent)
    except ConfigurationInvalid as invalid:
        raise click.ClickException(invalid.detail) from invalid
    raise SystemExit(status)
