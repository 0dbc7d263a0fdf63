"""`countermark policy`, and what `check` says of policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from countermark.cli.check import command as check_command
from countermark.cli.policy import command
from countermark.configuration import read_policies, read_settings
from countermark.core.errors import ConfigurationInvalid
from countermark.policy.schema import schema

from .conftest import SETTINGS

Call = Callable[..., Result]


@pytest.fixture
def policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call `countermark policy …` in the folder, whose site has the shipped template risk-geo."""
    monkeypatch.chdir(folder)
    named = SETTINGS.replace("origin: pictures }", "origin: pictures, accept: [retail_digitals], policy: risk-geo }")
    (folder / "settings.yaml").write_text(f"policies: ./policies\n{named}")
    CliRunner().invoke(command, ["copy", "risk-geo"])

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(command, list(arguments))

    return call


def change(folder: Path, old: str, new: str) -> None:
    """Edit the folder's template."""
    path = folder / "policies" / "risk-geo.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_shipped_template_is_linted_and_tested(policy: Call) -> None:
    """Without a complaint."""
    linted, tested = policy("lint", "policies"), policy("test", "policies")
    assert (linted.exit_code, linted.output) == (0, "templates: 1, errors: 0, warnings: 0\n")
    assert tested.exit_code == 0
    assert tested.output.endswith("examples: 5, wrong: 0\n")


def test_errors_fail_the_lint_and_warnings_only_where_asked(policy: Call, folder: Path) -> None:
    """--strict asks."""
    change(folder, "retention: 90d\n", "")
    assert policy("lint", "policies").exit_code == 0
    assert policy("lint", "policies", "--strict").exit_code == 1
    change(folder, "require: [geo]", "require: []")
    failed = policy("lint", "policies", "--json")
    assert failed.exit_code == 1
    assert {"P008", "P017"} <= {finding["rule"] for finding in json.loads(failed.output)["findings"]}


def test_without_paths_the_settings_policies_are_looked_at(policy: Call) -> None:
    """Then the lint knows who uses a template, and what his dialects can sign."""
    result = policy("lint")
    assert (result.exit_code, result.output) == (0, "templates: 1, errors: 0, warnings: 0\n")


def test_faults_are_all_told_with_their_places(policy: Call, folder: Path) -> None:
    """As text and as JSON."""
    change(folder, "unknown: deny", "unknown: maybe")
    change(folder, "retention: 90d", "retention: ever")
    text, data = policy("lint", "policies"), policy("lint", "policies", "--json")
    assert text.exit_code == data.exit_code == 1
    assert "policies/risk-geo.yaml:10:38: geo.unknown: should be allow or deny, not 'maybe'" in text.output
    assert [fault["path"] for fault in json.loads(data.output)["faults"]] == ["geo.unknown", "retention"]


def test_a_wrong_example_fails_the_test(policy: Call, folder: Path) -> None:
    """With its place and what came out."""
    change(folder, "reason: country_mismatch", "reason: expired")
    result = policy("test", "policies")
    assert result.exit_code == 1
    assert "should be refused for expired, and is refused for country_mismatch" in result.output
    assert json.loads(policy("test", "policies", "--json").output)[1]["good"] is False


def test_the_exit_status_of_diff_says_whether_anything_was_widened(policy: Call, folder: Path) -> None:
    """Markdown for people, JSON with a whole request for machines."""
    before = folder / "before"
    CliRunner().invoke(command, ["copy", "risk-geo", "--to", str(before)])
    assert policy("diff", "before", "policies").exit_code == 0
    change(folder, "[DE, AT, CH]", "[DE, AT, CH, LI]")
    widened, narrowed = policy("diff", "before", "policies"), policy("diff", "policies", "before")
    assert (widened.exit_code, narrowed.exit_code) == (1, 0)
    assert "| country | LI" in widened.output
    (difference,) = json.loads(policy("diff", "before", "policies", "--json").output)
    assert difference["widened"][0]["request"]["country"] == "LI"


def test_two_files_are_two_versions_of_one_template(policy: Call, folder: Path) -> None:
    """Whatever they are called; a change of the name alone decides nothing."""
    text = (folder / "policies" / "risk-geo.yaml").read_text()
    (folder / "policies" / "alps.yaml").write_text(text.replace("template: risk-geo", "template: alps"))
    result = policy("diff", "policies/risk-geo.yaml", "policies/alps.yaml")
    assert (result.exit_code, result.output) == (0, "No policy decides otherwise.\n")


def test_a_folder_without_templates_is_wrong_usage(policy: Call, folder: Path) -> None:
    """Rather than a clean bill for nothing."""
    (folder / "empty").mkdir()
    assert policy("lint", "empty").exit_code == 2


def test_copy_never_overwrites(policy: Call) -> None:
    """What stands there may have been edited."""
    result = policy("copy", "risk-geo")
    assert result.exit_code == 1
    assert "exists already" in result.output
    assert policy("copy", "riskgeo").exit_code == 2


def test_the_schema_is_printed(policy: Call) -> None:
    """The one that the docs have."""
    assert policy("schema").output == schema()


def test_check_tells_of_policies(policy: Call, folder: Path) -> None:
    """What the lint calls an error is a fault: here a dialect that cannot sign countries."""
    change(folder, "require: [geo]", "require: [geo, user]")
    (folder / "settings.yaml").write_text(
        (folder / "settings.yaml").read_text().replace("retail_digitals", "keycdn_access")
    )
    result = CliRunner().invoke(check_command, ["--config", str(folder / "settings.yaml")])
    assert result.exit_code == 1
    assert "site shop accepts keycdn_access, whose URLs cannot sign user" in result.output
    assert "(P027)" in result.output


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("policy: risk-geo", "policy: risk-geu", "no policy is called 'risk-geu'; did you mean 'risk-geo'?"),
        ("policies: ./policies", "policies: ./elsewhere", "cannot be read: No such file"),
        ("policies: ./policies\n", "", "is set, and `policies` names no folder"),
    ],
)
def test_a_site_whose_policy_is_not_there_is_a_fault(
    policy: Call, folder: Path, old: str, new: str, fault: str
) -> None:
    """Before anything starts."""
    path = folder / "settings.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigurationInvalid, match=fault.replace("?", r"\?")):
        read_policies(read_settings(path))


def test_a_site_takes_templates_for_pictures_only(policy: Call, folder: Path) -> None:
    """It serves nothing else."""
    change(folder, "template: risk-geo", "template: risk-geo\nendpoint: upload")
    with pytest.raises(ConfigurationInvalid, match="is for upload"):
        read_policies(read_settings(folder / "settings.yaml"))
