"""A small folder with everything that a gateway needs, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SETTINGS = """\
server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0" }
origins:
  pictures: { url: "file:./pictures" }
sites:
  - { name: shop, match: { prefix: /shop/ }, origin: pictures }
"""
KEYS = f"- {{ id: k1, secret: {'A' * 43} }}\n"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Valid settings, a keyring and a folder of originals."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    (tmp_path / "keys.yaml").write_text(KEYS)
    (tmp_path / "pictures").mkdir()
    return tmp_path


@pytest.fixture
def countermark(folder: Path) -> Run:
    """Run `countermark …` in the folder."""
    package = Path(__file__).resolve().parents[2] / "proxy"

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(package), **variables}
        command = [sys.executable, "-m", "countermark.cli.main", *arguments]
        return subprocess.run(
            command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=50
        )

    return run
