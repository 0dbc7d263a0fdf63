"""`countermark policy`: lint, test, compare and describe policy templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from countermark.cli.options import config_option, json_option
from countermark.configuration import policy_texts, read_policies, read_settings
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.policy.diff import Difference, compare, compare_sets, markdown
from countermark.policy.lint import Finding, SiteUse, lint
from countermark.policy.load import load_templates
from countermark.policy.schema import schema
from countermark.policy.template import Template
from countermark.policy.trial import failures
from countermark.settings.model import Settings
from countermark.signing.table import DIALECTS

_PATH = click.Path(exists=True, path_type=Path)
_paths = click.argument("paths", nargs=-1, type=_PATH)


class Report(Struct, kw_only=True):
    """What the lint found: `faults` keep a template from being loaded at all."""

    good: bool = True
    templates: int = 0
    faults: tuple[Fault, ...] = ()
    findings: tuple[Finding, ...] = ()


@click.group("policy")
def command() -> None:
    """Lint, test and compare policy templates."""


@command.command("lint")
@_paths
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@config_option
@json_option
@click.pass_context
def lint_command(ctx: click.Context, paths: tuple[Path, ...], strict: bool, config: Path, as_json: bool) -> None:
    """Look for what is written in templates and seldom meant; docs/policy-reference.md lists the rules.

    PATHS are files or folders. Without any, the settings' own policies are looked at, with their presets and the dialects
    of the sites that name them.

    \b
    Examples:
      countermark policy lint
      countermark policy lint policies/render.yaml --strict
    """
    report = _report(paths, config, counted=("error", "warning") if strict else ("error",))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        for line in (*report.faults, *report.findings):
            click.echo(line)
        click.echo(_summary(report))
    ctx.exit(0 if report.good else 1)


@command.command("test")
@_paths
@config_option
@json_option
@click.pass_context
def test_command(ctx: click.Context, paths: tuple[Path, ...], config: Path, as_json: bool) -> None:
    """Run the examples that templates bring, the whole way from credentials to ceilings.

    PATHS are files or folders. Without any, the settings' own policies are tested.

    \b
    Example:
      countermark policy test policies/
    """
    rows = [row for template in _load(paths, config).values() for row in _examples(template)]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        for row in rows:
            click.echo(f"ok    {row['example']}" if row["good"] else f"FAIL  {row['place']}: {row['message']}")
        click.echo(f"examples: {len(rows)}, wrong: {sum(not row['good'] for row in rows)}")
    ctx.exit(0 if all(row["good"] for row in rows) else 1)


@command.command("diff")
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@json_option
@click.pass_context
def diff_command(ctx: click.Context, old: Path, new: Path, as_json: bool) -> None:
    """Compare what two templates, or two folders of them, decide: Markdown for a pull request.

    Both are asked about every boundary that either draws. Exit status 1 says that something is allowed that was refused.

    \b
    Examples:
      countermark policy diff policies.old/ policies/
      git show main:policies/render.yaml > /tmp/render.yaml; countermark policy diff /tmp/render.yaml policies/render.yaml
    """
    differences = _compared(old, new)
    click.echo(msgspec.json.encode(differences) if as_json else markdown(differences), nl=as_json)
    ctx.exit(1 if any(difference.widened for difference in differences) else 0)


@command.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of a template, for editors.

    \b
    Example:
      countermark policy schema > policy.schema.json
    """
    click.echo(schema(), nl=False)


@command.command("copy")
@click.argument("names", nargs=-1)
@click.option("--to", "folder", type=click.Path(path_type=Path), default=Path("policies"), show_default=True)
def copy_command(names: tuple[str, ...], folder: Path) -> None:
    """Copy templates that come with countermark into a folder, as a start for your own. Without NAMES: all of them.

    \b
    Example:
      countermark policy copy render --to policies
    """
    shipped = {Path(file.name).stem: file for file in files("countermark.policy").joinpath("templates").iterdir()}
    for name in names:
        if name not in shipped:
            raise click.UsageError(f"There is no template {name}; there is {', '.join(sorted(shipped))}.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or sorted(shipped):
        target = folder / f"{name}.yaml"
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(shipped[name].read_text(encoding="utf-8"))
        except FileExistsError:
            raise click.ClickException(f"{target} exists already.") from None
        click.echo(target)


def site_uses(settings: Settings) -> list[SiteUse]:
    """The sites of the settings, as the lint wants to know them."""
    return [
        SiteUse(
            name=site.name,
            template=site.policy,
            dialects={name: DIALECTS[name].capabilities for name in site.accept},
        )
        for site in settings.sites
    ]


def _report(paths: tuple[Path, ...], config: Path, *, counted: tuple[str, ...]) -> Report:
    sites = None if paths else site_uses(read_settings(config))
    try:
        templates = _load(paths, config)
    except ConfigurationInvalid as invalid:
        return Report(good=False, faults=invalid.faults)
    findings = tuple(finding for template in templates.values() for finding in lint(template, sites))
    good = not any(finding.severity in counted for finding in findings)
    return Report(good=good, templates=len(templates), findings=findings)


def _load(paths: tuple[Path, ...], config: Path) -> Mapping[str, Template]:
    texts: dict[str, str] = {} if paths else read_policies(read_settings(config))
    for path in paths:
        texts |= policy_texts(path)
    templates = load_templates(texts)
    if not templates:
        raise click.UsageError(f"There is no template (*.yaml) in {', '.join(map(str, paths))}.")
    return templates


def _compared(old: Path, new: Path) -> list[Difference]:
    before, after = (load_templates(policy_texts(path)) for path in (old, new))
    # Two files are two versions of one template, even where it was given another name.
    if old.is_file() and new.is_file() and len(before) == len(after) == 1:
        return [compare(*before.values(), *after.values())]
    return compare_sets(before, after)


def _summary(report: Report) -> str:
    if report.faults:
        return f"faults: {len(report.faults)}; the rules are looked at when the templates can be read"
    counts = [f"{word}s: {sum(f.severity == word for f in report.findings)}" for word in ("error", "warning")]
    return f"templates: {report.templates}, {', '.join(counts)}"


def _examples(template: Template) -> list[dict[str, object]]:
    wrong = {failure.path: failure.message for failure in failures(template)}
    rows: list[dict[str, object]] = []
    for index, example in enumerate(template.file.examples):
        path = f"examples[{index}]"
        place = template.place(path)
        rows.append(
            {
                "example": f"{template.name}: {example.permit or example.deny}",
                "good": path not in wrong,
                "place": f"{place.file}:{place.line}:{place.column}",
                "message": wrong.get(path, ""),
            }
        )
    return rows
