"""The demo as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def walked(folder: Path) -> list[dict[str, object]]:
    """The stops of one `countermark demo --check`, which must end well."""
    command = [sys.executable, "-m", "countermark.cli.main", "demo", "--check", "--json", "--folder", str(folder)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMARK_")}
    environ["PYTHONPATH"] = str(ROOT / "proxy")
    done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    stops: list[dict[str, object]] = json.loads(done.stdout)
    return stops


@pytest.mark.timeout(240)
def test_the_tour_has_no_surprise_and_can_be_walked_again(tmp_path: Path) -> None:
    """In the same folder, with what the first walk has left there; each way to be refused is among the stops."""
    first, second = walked(tmp_path), walked(tmp_path)
    assert [stop["title"] for stop in first] == [stop["title"] for stop in second]
    assert {
        "expired", "country_not_allowed", "country_mismatch", "client_ip_not_allowed", "out_of_scope", "used",
        "single_use_refused", "rate_limited", "key_inactive", "transform_refused", "revoked", "token_invalid",
    } <= {stop["reason"] for stop in first}  # fmt: skip
