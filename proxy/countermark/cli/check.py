"""`countermark check`: everything that can be wrong with the files, told at once, without starting anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import msgspec
from msgspec import Struct

from countermark.cli.options import config_option
from countermark.cli.policy import site_uses
from countermark.configuration import read_admin_tokens, read_keyring, read_policies, read_settings
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.imaging.presets import read_presets
from countermark.keys.keyring import Keyring
from countermark.policy.lint import Finding, lint
from countermark.policy.load import load_templates
from countermark.settings.model import Settings
from countermark.signing.cautions import Caution, cautions
from countermark.web.peers import open_peers


class Findings(Struct, kw_only=True):
    """What was found: `summary` is the good news, in words."""

    valid: bool
    summary: str
    faults: list[Fault]
    warnings: list[Caution]


@click.command(name="check")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, config: Path, as_json: bool) -> None:
    """Read settings, keys, presets, policies, admin tokens and watermarks; list every fault.

    \b
    Example:
      countermark check --config settings.yaml
    """
    findings = examine(config)
    click.echo(msgspec.json.encode(findings) if as_json else report(findings))
    ctx.exit(0 if findings.valid else 1)


def examine(config: Path) -> Findings:
    """All faults of a settings file and of the files that it names."""
    findings = Findings(valid=True, summary="", faults=[], warnings=[])
    try:
        settings = read_settings(config)
    except ConfigurationInvalid as invalid:
        findings.faults += invalid.faults
        message = "keys, presets, policies and watermarks are looked at when the settings are right"
        findings.warnings.append(Caution(name="unexamined", message=message))
    else:
        _examine_files(settings, findings)
    findings.valid = not findings.faults
    return findings


def report(findings: Findings) -> str:
    """The findings as lines for a terminal."""
    lines = [str(fault) for fault in findings.faults] + [f"warning: {text}" for text in findings.warnings]
    count = len(findings.faults)
    lines.append(findings.summary if findings.valid else f"{count} {'fault' if count == 1 else 'faults'}")
    return "\n".join(lines)


def _examine_files(settings: Settings, findings: Findings) -> None:
    findings.faults += _preset_faults(settings)
    findings.faults += _token_faults(settings)
    _examine_policies(settings, findings)
    findings.faults += _watermark_faults(settings)
    findings.faults += _folder_faults(settings)
    try:
        keyring = read_keyring(settings)
    except ConfigurationInvalid as invalid:
        findings.faults += invalid.faults
        return
    findings.faults += _peer_faults(settings, keyring)
    findings.warnings += cautions(settings.sites, keyring)
    findings.summary = (
        f"valid (sites: {len(settings.sites)}, origins: {len(settings.origins)}, keys: {len(keyring.keys)})"
    )


def _examine_policies(settings: Settings, findings: Findings) -> None:
    """What the lint calls an error is a fault here; the rest is told without stopping anything."""
    try:
        templates = load_templates(read_policies(settings))
    except ConfigurationInvalid as invalid:
        findings.faults += invalid.faults
        return
    sites = site_uses(settings)
    for finding in (finding for template in templates.values() for finding in lint(template, sites)):
        if finding.severity == "error":
            findings.faults.append(_as_fault(finding))
        elif finding.severity == "warning":
            findings.warnings.append(Caution(name="policy", message=str(finding)))


def _as_fault(finding: Finding) -> Fault:
    message = f"{finding.message}; {finding.remedy} ({finding.rule})"
    return Fault(path=finding.path, message=message, file=finding.file, line=finding.line, column=finding.column)


def _preset_faults(settings: Settings) -> tuple[Fault, ...]:
    try:
        read_presets(settings.presets)
    except ConfigurationInvalid as invalid:
        return invalid.faults
    return ()


def _peer_faults(settings: Settings, keyring: Keyring) -> tuple[Fault, ...]:
    try:
        open_peers(settings, keyring)
    except ConfigurationInvalid as invalid:
        return invalid.faults
    return ()


def _token_faults(settings: Settings) -> Iterator[Fault]:
    try:
        tokens = read_admin_tokens(settings)
    except ConfigurationInvalid as invalid:
        yield from invalid.faults
        return
    sites = {"*", *(site.name for site in settings.sites)}
    for token in tokens:
        for site in set(token.sites) - sites:
            message = f"the token {token.name} is for the site {site}, which does not exist"
            yield Fault(path="sites", file=settings.admin.tokens, message=message)


def _watermark_faults(settings: Settings) -> Iterator[Fault]:
    for name, watermark in settings.watermarks.items():
        try:
            with Path(watermark.image).open("rb") as file:
                head = file.read(12)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            yield Fault(path=f"watermarks.{name}.image", file=watermark.image, message=message)
            continue
        if not _is_picture(head):
            yield Fault(path=f"watermarks.{name}.image", file=watermark.image, message="is no PNG, WebP or JPEG")


def _is_picture(head: bytes) -> bool:
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return webp or head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def _folder_faults(settings: Settings) -> Iterator[Fault]:
    for name, origin in settings.origins.items():
        url = urlsplit(origin.url)
        if url.scheme == "file" and not Path(unquote(url.path)).is_dir():
            yield Fault(path=f"origins.{name}.url", message=f"{unquote(url.path)} is not a folder")
