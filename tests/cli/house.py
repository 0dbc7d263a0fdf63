"""A folder with settings and a keyring, and the commands run in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from countermark.cli.main import root

ACCEPTED = "[native, keycdn_image], dialects: { keycdn_image: { unsafe_unlimited: true } }"
SETTINGS = f"""
origins: {{ photos: {{ url: "file:./photos" }} }}
keys: ./keys.yaml
sites:
  - {{ name: shop, origin: photos, match: {{ host: img.example.com, prefix: /shop/ }}, accept: {ACCEPTED} }}
  - name: zone
    origin: photos
    match: {{ host: cdn.example.com }}
    accept: [keycdn_access]
    dialects: {{ keycdn_access: {{ ip: true }} }}
"""


class House:
    """Commands are the real ones, in this process or in one of their own."""

    def __init__(self, folder: Path, settings: str = SETTINGS) -> None:
        self.config = folder / "countermark.yaml"
        self.config.write_text(settings, encoding="utf-8")
        self.keyring = folder / "keys.yaml"
        self.keyring.write_text("", encoding="utf-8")

    def add_key(self, *arguments: str) -> None:
        """Make a key and put it into the keyring, with its private half."""
        made = self.run("keys", "new", *arguments)
        assert made.exit_code == 0, made.output
        shown = made.stderr.splitlines()[-1:]
        private = f"  private: {shown[0]}\n" if shown else ""
        with self.keyring.open("a", encoding="utf-8") as file:
            file.write(made.stdout + private)

    def run(self, name: str, *arguments: str) -> Result:
        """Run a command in this process."""
        environ = {"COUNTERMARK_CONFIG": str(self.config)}
        return CliRunner().invoke(root, [name, *arguments], env=environ, prog_name="countermark")

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        environ = {**os.environ, "COUNTERMARK_CONFIG": str(self.config), "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-m", "countermark.cli.main", *arguments],
            capture_output=True,
            text=True,
            env=environ,
            timeout=60,
            check=False,
        )

    def signed(self, *arguments: str) -> str:
        """The URL that `sign` prints."""
        result = self.run("sign", *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()
