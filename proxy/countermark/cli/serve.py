"""`countermark serve`: the gateway itself."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.options import config_option
from countermark.configuration import read_keyring, read_settings
from countermark.settings.model import Settings
from countermark.signing.cautions import Caution, cautions
from countermark.web import supervisor


@click.command("serve")
@config_option
def command(config: Path) -> None:
    """Serve until SIGTERM, which lets requests in flight end. SIGHUP takes the settings file anew, whole or not at all.

    \b
    Example:
      countermark serve --config settings.yaml
    """
    path = config.absolute()
    raise SystemExit(supervisor.serve(lambda: read_settings(path), look=_look))


def _look(settings: Settings) -> list[Caution]:
    return cautions(settings.sites, read_keyring(settings))
