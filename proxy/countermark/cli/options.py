"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("settings.yaml"),
    envvar="COUNTERMARK_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
