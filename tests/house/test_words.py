"""What the README tells people to type exists."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from countermark.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/operations.md",
    "docs/architecture.md",
    "docs/forward-auth.md",
    "docs/edges.md",
    "docs/policies.md",
    "docs/sessions.md",
]
FENCE = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DEV = set(re.findall(r'"(\w+)": \w+', (ROOT / "dev").read_text().split("COMMANDS = {")[1].split("}")[0]))


def calls(page: str) -> Iterator[tuple[str, ...]]:
    """The words of every call of ./dev or countermark in the code blocks of a page."""
    for block in FENCE.findall((ROOT / page).read_text()):
        for line in block.splitlines():
            reader = shlex.shlex(line, posix=True, punctuation_chars=True)
            reader.whitespace_split = True
            for punctuation, words in itertools.groupby(reader, key=lambda word: word[0] in "();<>|&"):
                call = tuple(words)
                if not punctuation and call[0] in ("./dev", "countermark"):
                    yield call


EVERY_CALL = sorted({(page, *call) for page in PAGES for call in calls(page)})


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words call, and the words that are left for it."""
    command: click.Command = import_module(f"countermark.cli.{words[0]}").command
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("call", EVERY_CALL, ids=" ".join)
def test_a_documented_call_exists(call: tuple[str, ...]) -> None:
    """Its command, and every option that it shows."""
    _, program, *words = call
    if program == "./dev":
        assert words[0] in DEV
        return
    command, rest = resolved(words)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known


def test_the_readme_shows_the_main_commands() -> None:
    """The two that a newcomer needs, and those of the first own bucket."""
    shown = {" ".join(call[:2]) for page, *call in EVERY_CALL if page == "README.md"}
    assert {"./dev demo", "./dev test", "countermark check", "countermark serve", "countermark sign"} <= shown


def commands() -> list[tuple[str, click.Command]]:
    """Every command and subcommand by the words that call it."""
    found = []
    for name in COMMANDS:
        command: click.Command = import_module(f"countermark.cli.{name}").command
        members = command.commands if isinstance(command, click.Group) else {}
        found += [(name, command)] if not members else [(f"{name} {sub}", member) for sub, member in members.items()]
    return found


@pytest.mark.parametrize(("words", "command"), commands())
def test_every_command_shows_an_example(words: str, command: click.Command) -> None:
    """In its help, where people look first."""
    assert re.search(rf"Examples?:\n\s+countermark {words}", command.help or "")


@pytest.mark.parametrize("page", [*PAGES, "SECURITY.md", "CHANGELOG.md", "docs/configuration.md"])
def test_links_within_the_repository_lead_somewhere(page: str) -> None:
    """A file that a page links to exists."""
    path = ROOT / page
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []
