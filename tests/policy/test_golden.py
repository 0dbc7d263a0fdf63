"""Golden files: what is written in a template, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from countermark.policy.lint import ALL

from .golden import FOLDER, compared, linted, loaded

LOADED = sorted((FOLDER / "load").glob("*.yaml"))
LINTED = sorted((FOLDER / "lint").glob("*.yaml"))
COMPARED = sorted((FOLDER / "diff").iterdir())


@pytest.mark.parametrize("path", LOADED, ids=lambda path: path.stem)
def test_every_fault_of_a_template_is_told_with_its_place(path: Path) -> None:
    """And with what would be right."""
    assert loaded(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", LINTED, ids=lambda path: path.stem)
def test_the_lint_finds_what_is_there_and_nothing_else(path: Path) -> None:
    """Each finding with its rule, place and remedy."""
    assert linted(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.name)
def test_the_comparison_tells_decisions(path: Path) -> None:
    """What is newly allowed and newly refused, as Markdown."""
    assert compared(path) == (path / "expected.md").read_text()


def test_there_are_enough_of_them() -> None:
    """Good and bad, of each kind."""
    assert len(LOADED) + len(LINTED) + len(COMPARED) >= 100


def test_every_rule_has_a_golden_file_that_breaks_it() -> None:
    """So that no rule is silent without anybody seeing it."""
    told = "".join(path.with_suffix(".txt").read_text() for path in LINTED)
    assert [rule.id for rule in ALL if f" {rule.id} {rule.severity}: " not in told] == []


def test_ids_of_rules_are_given_once() -> None:
    """They stand in people's `accept` lists."""
    assert len({rule.id for rule in ALL}) == len(ALL)
