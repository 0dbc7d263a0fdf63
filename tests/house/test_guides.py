"""The guides of docs/guides/ are followed to the letter: their files are written, their commands are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from countermark.signing.table import DIALECTS

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ACCEPTED = re.compile(r"accept: \[(.*?)\]")
LINK = re.compile(r"\]\(([^)#]+)\)")


def missing(guide: str) -> set[str]:
    """The dialects of a guide that do not exist here."""
    return {name for listed in ACCEPTED.findall(guide) for name in listed.split(", ")} - DIALECTS.keys()


def test_there_are_guides() -> None:
    """One for each of those whom people leave most."""
    assert {path.stem.removeprefix("move-from-") for path in GUIDES} == {"cloudfront", "imgproxy", "keycdn", "thumbor"}


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_can_be_followed_literally(path: Path, tmp_path: Path) -> None:
    """Each block in its order; a command that fails ends it, and the last one prints a native URL."""
    guide = path.read_text(encoding="utf-8")
    if missing(guide):
        pytest.skip(f"no such dialect yet: {', '.join(sorted(missing(guide)))}")
    if "openssl" in guide and not shutil.which("openssl"):
        pytest.skip("openssl is not installed here")
    command = tmp_path / "bin" / "countermark"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m countermark.cli.main "$@"\n')
    command.chmod(0o755)
    environ = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "proxy")}
    folder = tmp_path / "folder"
    folder.mkdir()
    printed = ""
    for kind, text in BLOCK.findall(guide):
        if kind == "yaml":
            (folder / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
            continue
        done = subprocess.run(
            ["sh", "-eu", "-c", text], cwd=folder, env=environ, check=False, capture_output=True, text=True, timeout=50
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    assert "good: site shop" in printed
    assert printed.splitlines()[-1].startswith("https://img.example.com/")
    assert "&kid=k1&" in printed.splitlines()[-1]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_links_of_a_guide_lead_somewhere(path: Path) -> None:
    """But for the pages of dialects that do not exist yet."""
    guide = path.read_text(encoding="utf-8")
    if missing(guide):
        pytest.skip(f"no such dialect yet: {', '.join(sorted(missing(guide)))}")
    assert [link for link in LINK.findall(guide) if not (path.parent / link).exists()] == []
