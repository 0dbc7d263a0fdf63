"""`countermark doctor`: what this machine and its surroundings lack, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from countermark.cli import machine, surroundings
from countermark.cli.finding import Finding
from countermark.cli.options import config_option
from countermark.configuration import read_settings
from countermark.core.errors import ConfigurationInvalid
from countermark.settings.model import Settings

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(name="doctor")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_context
def command(ctx: click.Context, config: Path, as_json: bool) -> None:
    """Look at this machine: codecs, sandbox, limits, origins, ports.

    Without a settings file only the machine is looked at. Exit status 1 when anything fails.

    \b
    Example:
      countermark doctor --config settings.yaml
    """
    findings = []
    for finding in examine(config):
        findings.append(finding)
        if not as_json:
            click.echo(line(finding))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    ctx.exit(1 if any(finding.state == "fail" for finding in findings) else 0)


def examine(config: Path) -> Iterator[Finding]:
    """Everything found, in the order of looking."""
    settings, finding = _settings(config)
    yield finding
    yield from machine.examine(settings.render.unsafe_waive_sandbox if settings else ())
    if settings:
        yield from surroundings.examine(settings)


def line(finding: Finding) -> str:
    """A finding as a line for a terminal."""
    state = click.style(f"{finding.state:<4}", fg=_COLORS[finding.state])
    advice = f"\n     -> {finding.advice}" if finding.advice else ""
    return f"{state} {finding.check}: {finding.message}{advice}"


def _settings(config: Path) -> tuple[Settings | None, Finding]:
    if not config.exists():
        message = f"there is no {config}; origins, cache and ports are not looked at"
        return None, Finding(check="settings", state="warn", message=message, advice="name it with --config")
    try:
        settings = read_settings(config)
    except ConfigurationInvalid as invalid:
        message = f"{len(invalid.faults)} faults in {config}; origins, cache and ports are not looked at"
        return None, Finding(check="settings", state="fail", message=message, advice="see `countermark check`")
    return settings, Finding(check="settings", state="ok", message=str(config))
