"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from countermark.settings.reference import markdown, schema
from countermark.signing.reference import markdown as dialects
from countermark.signing.table import DIALECTS
from countermark.web.reference import markdown as admin_api

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "proxy" / "countermark"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PURE = {"core", "identity", "imaging", "keys", "policy", "settings", "signing", "traffic"}
EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "base", "misc", "stuff"}
NOT_OURS = {".git", ".venv", "dist", "state", "cache", "demo-state", "results"}
# Put together here, so that this file may be searched like any other.
FOREIGN = [
    *("pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js.org", "deb.debi" + "an.org"),
    *("security.debi" + "an.org", "proxy.gol" + "ang.org", "static.cra" + "tes.io"),
    *(f"{before}/{folder}/" for folder in ("work", "root", "home") for before in (" ", '"', "'", "`", "(", "=")),
]


def name_of(path: Path) -> str:
    """A path as people say it."""
    return str(path.relative_to(ROOT))


def our_files() -> Iterator[Path]:
    """Every text file of the repository, as a fresh clone has them."""
    for path in sorted(ROOT.rglob("*")):
        parts = set(path.relative_to(ROOT).parts)
        hidden = any(part.startswith(".") and part not in {".ci", ".gitignore"} for part in parts)
        if path.is_file() and not hidden and not parts & (NOT_OURS | {"__pycache__"}):
            yield path


def test_every_module_says_what_it_is() -> None:
    """A docstring of at least a few words."""
    docstrings = {name_of(module): ast.get_docstring(ast.parse(module.read_text())) or "" for module in MODULES}
    assert [name for name, docstring in docstrings.items() if len(docstring.split()) < 3] == []


def test_no_module_has_an_empty_name() -> None:
    """A name such as util or manager says nothing about what stands inside."""
    words = {name_of(module): set(re.split(r"[_/.]", str(module.relative_to(PACKAGE)))) for module in MODULES}
    assert [name for name, parts in words.items() if parts & EMPTY_WORDS] == []


def test_no_file_names_a_registry_or_a_machine() -> None:
    """The repository works with any mirror, in any folder."""
    found = []
    for path in our_files():
        data = path.read_bytes()
        found += [f"{name_of(path)}: {word}" for word in FOREIGN if word.encode() in data]
    assert found == []


def test_the_generated_pages_are_fresh() -> None:
    """`./dev docs` writes them."""
    assert (ROOT / "docs" / "configuration.md").read_text() == markdown()
    assert (ROOT / "docs" / "configuration.schema.json").read_text() == schema()
    assert (ROOT / "docs" / "dialects.md").read_text() == dialects()
    assert (ROOT / "docs" / "admin-api.md").read_text() == admin_api()


def test_every_dialect_has_a_page() -> None:
    """Written by hand, beside the generated table that links to it."""
    pages = {dialect.capabilities.page for dialect in DIALECTS.values()}
    assert pages == {path.stem for path in (ROOT / "docs" / "dialects").glob("*.md")}


def test_every_room_has_its_layer() -> None:
    """The import contract knows each module and folder of the package, and the pure rooms are held pure."""
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    layered = {name.strip("() ") for layer in contracts["layers"]["layers"] for name in layer.split("|")}
    rooms = {path.stem for path in PACKAGE.iterdir() if path.name not in {"__init__.py", "__pycache__"}}
    assert layered == rooms
    assert set(contracts["pure"]["source_modules"]) == {f"countermark.{room}" for room in PURE}


def test_the_lock_covers_what_the_package_needs() -> None:
    """requirements/run.in names the dependencies of pyproject.toml and of its extras, with the same bounds."""
    project = PROJECT["project"]
    wanted = {*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())}
    lines = (ROOT / "requirements" / "run.in").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == wanted


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_every_locked_package_has_a_hash(lock: str) -> None:
    """So that pip and uv refuse anything else."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements" / lock).read_text().strip())
    assert len(entries) > 20
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_changelog_knows_the_version() -> None:
    """Either as a release or as what is coming."""
    version = re.search(r'__version__ = "(.+)"', (PACKAGE / "__init__.py").read_text())
    assert version is not None
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{version[1]}]" in changelog or "## [Unreleased]" in changelog
