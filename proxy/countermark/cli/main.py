"""The command `countermark`: a table of commands, each imported when it is called, so that --help costs nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from countermark import __version__
from countermark.core.errors import CountermarkError

COMMANDS = {
    "demo": "Serve real photographs from a private origin and walk a tour.",
    "serve": "Run the gateway.",
    "check": "Read settings, keys, presets, policies and watermarks; list every fault.",
    "doctor": "Look at this machine: codecs, sandbox, limits, origins, ports.",
    "health": "Ask a running gateway whether it is well, for container checks.",
    "sign": "Sign a URL.",
    "verify": "Verify a URL as the gateway would.",
    "explain": "Say which check a URL fails first, and what was signed.",
    "policy": "Lint, test and compare policy templates.",
    "keys": "Make, list, seal, rotate and revoke keys.",
    "revoke": "Take back what was signed, while the gateway runs.",
    "revocations": "List, lift, export and import what was taken back.",
    "sessions": "Open, refresh, end and list the sessions of clients.",
    "admin": "Make and list tokens of the admin API.",
}


class Commands(click.Group):
    """A group whose members are modules of this package, each with a `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"countermark.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of the house is one message and exit status 1."""
        try:
            return super().invoke(ctx)
        except CountermarkError as error:
            raise click.ClickException(error.detail) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself; asking each command for its help would import them all."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="countermark")
def root() -> None:
    """A gateway for private pictures: signed, transformed, watermarked, accounted for.

    \b
    Example:
      countermark check --config settings.yaml && countermark serve --config settings.yaml

    Exit status: 0 good, 1 refused or invalid, 2 wrong usage.
    """


def main() -> None:
    """Run the command line."""
    root(prog_name="countermark")


if __name__ == "__main__":
    main()
