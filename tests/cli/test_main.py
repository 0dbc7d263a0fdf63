"""The table of commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from countermark import __version__
from countermark.cli.main import COMMANDS

from .conftest import Run

HEAVY = {"aiohttp", "cryptography", "obstore", "prometheus_client", "pyvips", "ruamel", "uvloop"}


def test_help_lists_every_command_and_imports_none() -> None:
    """Typing --help must not cost the start of a server."""
    program = (
        "import sys; from countermark.cli import main; "
        "code = main.root(['--help'], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    package = Path(__file__).resolve().parents[2] / "proxy"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert all(f"  {name} " in ended.stdout for name in COMMANDS)
    assert not HEAVY & set(ended.stderr.split())


def test_the_version_is_the_package_s(countermark: Run) -> None:
    """For bug reports."""
    assert countermark("--version").stdout.strip().endswith(__version__)


def test_wrong_usage_ends_with_2(countermark: Run) -> None:
    """An unknown command or option."""
    assert countermark("chek").returncode == 2
    assert countermark("check", "--jsn").returncode == 2


def test_an_error_of_the_house_is_sentences_and_no_traceback(countermark: Run, folder: Path) -> None:
    """Settings that cannot be used end any command with 1."""
    (folder / "settings.yaml").write_text("server: { lisen: x }\n")
    ended = countermark("keys", "list")
    assert ended.returncode == 1
    assert ended.stderr.endswith("settings.yaml:1:11: server.lisen: unknown key 'lisen'; did you mean 'listen'?\n")
