"""`countermark serve` says what weakens, before anybody is served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from .conftest import KEYS, SETTINGS

PACKAGE = Path(__file__).resolve().parents[2] / "proxy"


@pytest.mark.timeout(120)
def test_what_weakens_is_logged_and_counted(folder: Path) -> None:
    """By the names of `countermark check`, and on /metrics."""
    (folder / "settings.yaml").write_text(SETTINGS + "log: { format: json }\nrender: { children: 1 }\n")
    old = "- { id: zone, dialect: keycdn_access, text_secret: sixteen-letters-or-more }\n"
    (folder / "keys.yaml").write_text(KEYS + old)
    command = [sys.executable, "-m", "countermark.cli.main", "serve", "--config", str(folder / "settings.yaml")]
    environ = {**os.environ, "PYTHONPATH": str(PACKAGE), "COUNTERMARK_SERVER__WORKERS": "1"}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as gateway:
        try:
            assert gateway.stderr is not None
            lines = []
            for line in gateway.stderr:
                lines.append(json.loads(line))
                if lines[-1]["event"] == "serving":
                    break
            host, port = lines[-1]["admin"].rsplit(":", 1)
            connection = HTTPConnection(host, int(port), timeout=50)
            connection.request("GET", "/metrics")
            metrics = connection.getresponse().read().decode()
            connection.close()
        finally:
            gateway.terminate()
    assert [line["event"] for line in lines].index("legacy_hash") < len(lines) - 1
    assert "key zone (keycdn_access) signs with MD5" in str(lines)
    assert 'countermark_cautions{name="legacy_hash"} 1' in metrics
