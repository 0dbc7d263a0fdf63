"""A running gateway whose keys are sealed: what it does while the key management service is away, and after."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.cli.house import House

PACKAGE = Path(__file__).resolve().parents[2] / "proxy"
TOKEN = "cmadm_" + "A" * 43
SETTINGS = """
server: {{ listen: "127.0.0.1:0", admin: "127.0.0.1:{admin}", workers: 1 }}
origins: {{ photos: {{ url: "file:./photos" }} }}
sites: [ {{ name: shop, origin: photos, match: {{ prefix: /shop/ }} }} ]
admin: {{ tokens: ./tokens.yaml }}
kms: local:./master.key
rotation: {{ native: {{}} }}
log: {{ format: json }}
render: {{ children: 1 }}
"""


class Running:
    """`countermark serve`, and what it logs."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, "-m", "countermark.cli.main", "serve", "--config", str(config)]
        environ = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        self.process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        self.seen: list[dict[str, str]] = []

    def wait_for(self, event: str) -> dict[str, str]:
        """The next line of this event."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.seen.append(json.loads(line))
            if self.seen[-1]["event"] == event:
                return self.seen[-1]
        raise AssertionError(f"no {event}: {self.seen}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


def status(address: str, target: str) -> int:
    connection = HTTPConnection(address, timeout=30)
    connection.request("GET", target)
    found = connection.getresponse().status
    connection.close()
    return found


@pytest.mark.timeout(180)
def test_without_the_service_nothing_is_lost_but_the_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """Requests and new workers go on, a reload is refused, a rotation is taken once the service is back."""
    (tmp_path / "photos").mkdir()
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (tmp_path / "tokens.yaml").write_text(f"- {{ name: timer, sha256: {digest}, roles: [keys] }}\n")
    house = House(tmp_path, SETTINGS.format(admin=free_port))
    master = tmp_path / "master.key"
    house.run("keys", "master", str(master))
    house.add_key("--id", "k1", "--sealed")
    url = house.signed("/shop/cat.jpg")
    gateway = Running(house.config)
    try:
        address = gateway.wait_for("serving")["listen"]
        # The origin is empty: 404 is what a good signature gets.
        assert (status(address, url), status(address, f"{url}x")) == (404, 403)

        master.rename(tmp_path / "away")
        gateway.process.send_signal(signal.SIGHUP)
        assert "cannot be read" in gateway.wait_for("reload failed, the old configuration stays")["reason"]
        assert status(address, url) == 404

        (tmp_path / "away").rename(master)
        told = house.run("keys", "rotate", "--dry-run")
        assert "k1 (active): 2 requests since the gateway started" in told.stdout, told.output
        monkeypatch.setenv("COUNTERMARK_ADMIN_TOKEN", TOKEN)
        done = house.run("keys", "rotate", "--reload")
        assert done.exit_code == 0, done.output
        assert gateway.wait_for("notice")["kind"] == "configuration.refused"
        notice = gateway.wait_for("notice")
        while notice["kind"] != "key.published":
            notice = gateway.wait_for("notice")
        assert notice["actor"] == "timer"
        assert status(address, url) == 404
    finally:
        gateway.stop()


@pytest.mark.timeout(120)
def test_a_start_without_the_service_says_which_key_and_why(tmp_path: Path) -> None:
    """And serves nothing."""
    (tmp_path / "photos").mkdir()
    house = House(tmp_path, SETTINGS.format(admin=1).replace("admin: { tokens: ./tokens.yaml }\n", ""))
    house.run("keys", "master", str(tmp_path / "master.key"))
    house.add_key("--id", "k1", "--sealed")
    (tmp_path / "master.key").unlink()
    refused = house.process("serve")
    assert refused.returncode == 1
    assert "k1.sealed" in refused.stderr
    assert "cannot be opened" in refused.stderr


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on: the commands find the admin API by the settings."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
