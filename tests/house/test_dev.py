"""`./dev` makes the environment once and keeps it until the lock changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands in for uv: notes its arguments and makes what `uv venv` would make.
UV = """\
#!/bin/sh
echo "$@" >> calls
if [ "$1" = venv ]; then mkdir -p .venv/bin && ln -sf "$PYTHON" .venv/bin/python; fi
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `./dev setup` reads, and a uv that installs nothing."""
    for name in ("dev", "pyproject.toml", "requirements/dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV)
    uv.chmod(0o755)
    return tmp_path


def dev(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ./dev in that checkout."""
    path = f"{checkout / 'bin'}{os.pathsep}{os.defpath}"
    environment = {"PATH": path, "PYTHON": sys.executable}
    command = [sys.executable, str(checkout / "dev"), *arguments]
    return subprocess.run(
        command, check=False, cwd=checkout, env=environment, capture_output=True, text=True, timeout=50
    )


def test_setup_installs_by_hash_and_only_once(checkout: Path) -> None:
    """The second run finds everything in place and installs nothing."""
    first, second = dev(checkout, "setup"), dev(checkout, "setup")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "up to date" in second.stdout
    calls = (checkout / "calls").read_text().splitlines()
    assert len(calls) == 3
    assert "--require-hashes" in calls[1]
    assert "--editable" in calls[2]


def test_a_changed_lock_makes_the_environment_anew(checkout: Path) -> None:
    """One more line in the lock is enough."""
    dev(checkout, "setup")
    with (checkout / "requirements" / "dev.txt").open("a") as lock:
        lock.write("# one more\n")
    assert "up to date" not in dev(checkout, "setup").stdout


def test_an_installation_that_fails_is_not_taken_for_done(checkout: Path) -> None:
    """The next run tries again."""
    uv = checkout / "bin" / "uv"
    uv.write_text(UV + '[ "$1" = venv ]\n')
    assert dev(checkout, "setup").returncode == 2
    uv.write_text(UV)
    retried = dev(checkout, "setup")
    assert retried.returncode == 0
    assert "up to date" not in retried.stdout


def test_help_names_every_command(checkout: Path) -> None:
    """Without setting anything up."""
    shown = dev(checkout, "--help").stdout
    assert all(name in shown for name in ("setup", "demo", "test", "lint", "bench", "docs", "lock"))
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("lint", "now")])
def test_wrong_usage_ends_with_2(checkout: Path, arguments: tuple[str, ...]) -> None:
    """And with a sentence on standard error."""
    ended = dev(checkout, *arguments)
    assert ended.returncode == 2
    assert ended.stderr
