"""Real gateways: a supervisor, its workers, kernel-picked ports, and a log that is read like an operator reads it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

WAIT = 30.0
ROOT = Path(__file__).parents[2]

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, what: str) -> Found:
    """Wait until `look` finds something true, and return it."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited in vain: {what}")


class Gateway:
    """A running gateway of the test's own."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self.log_file = folder / "log"
        self.listen = ""
        self.admin = ""

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """The log's whole lines, those of one event or all."""
        lines = [
            json.loads(line) for line in self.log_file.read_text().splitlines(keepends=True) if line.endswith("}\n")
        ]
        return [line for line in lines if not event or line["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> None:
        until(lambda: len(self.log(event)) >= count, what=f"{event!r} in {self.log_file.read_text()[-3000:]}")

    def configure(self, text: str) -> None:
        (self.folder / "countermark.yaml").write_text(text)

    def reload(self) -> None:
        """SIGHUP, and wait for the outcome."""
        before = len(self.log("reloaded") + self.log("reload failed, the old configuration stays"))
        self.process.send_signal(signal.SIGHUP)
        until(
            lambda: len(self.log("reloaded") + self.log("reload failed, the old configuration stays")) > before,
            what="the end of a reload",
        )

    def connect(self) -> HTTPConnection:
        host, port = self.listen.rsplit(":", 1)
        return HTTPConnection(host, int(port), timeout=WAIT)

    def open(self) -> socket.socket:
        host, port = self.listen.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=WAIT)

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        return fetch(self.connect(), path)

    def ask_admin(self, path: str) -> tuple[int, dict[str, str], bytes]:
        host, port = self.admin.rsplit(":", 1)
        return fetch(HTTPConnection(host, int(port), timeout=WAIT), path)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        text = self.ask_admin("/metrics")[2].decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def held(self) -> list[int]:
        """Process ids of the workers that hold a request of /hold, one for each request."""
        return [int(path.name.split("-")[1]) for path in self.folder.glob("held-*")]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT)


def fetch(connection: HTTPConnection, path: str) -> tuple[int, dict[str, str], bytes]:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def config(*, workers: int = 1, drain: str = "2s", quality: int = 80, rest: str = "") -> str:
    return f"""\
server: {{listen: "127.0.0.1:0", admin: "127.0.0.1:0", workers: {workers}, drain_timeout: {drain}{rest}}}
log: {{format: json}}
render: {{quality: {{jpeg: {quality}}}}}
"""


Launch = Callable[..., Gateway]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """A factory: launch(config_text, …) starts a gateway without waiting for it.

    `files` are written beside the settings, and `worker` is the module of its workers; the small door's is the default.
    """
    gateways: list[Gateway] = []

    def start(
        text: str,
        *,
        descriptors: int = 0,
        systemd: socket.socket | None = None,
        files: dict[str, str | bytes] | None = None,
        worker: str = "tests.system.small_worker",
    ) -> Gateway:
        folder = tmp_path / str(len(gateways))
        folder.mkdir()
        (folder / "countermark.yaml").write_text(text)
        for name, content in {"keys.yaml": "[]\n", **(files or {})}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

        listener = "" if systemd is None else str(systemd.fileno())
        command = [sys.executable, "-m", "tests.system.small_gateway", str(folder / "countermark.yaml")]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMARK_")}
        environ |= {"PYTHONPATH": f"{ROOT / 'proxy'}{os.pathsep}{ROOT}"}
        environ |= {"TEST_DESCRIPTORS": str(descriptors or ""), "TEST_LISTENER": listener, "TEST_FOLDER": str(folder)}
        environ |= {"TEST_WORKER": worker}
        passed = () if systemd is None else (systemd.fileno(),)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log, pass_fds=passed)
        gateways.append(Gateway(folder, process))
        return gateways[-1]

    yield start
    for gateway in gateways:
        if gateway.process.poll() is None:
            gateway.process.send_signal(signal.SIGTERM)
            try:
                gateway.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                gateway.process.kill()
                gateway.process.wait(WAIT)


@pytest.fixture
def serve(launch: Launch) -> Launch:
    """The same, and wait until it serves."""

    def start(text: str, **options: Any) -> Gateway:
        gateway = launch(text, **options)

        def serving() -> bool:
            assert gateway.process.poll() is None, gateway.log_file.read_text()
            return bool(gateway.log("serving"))

        until(serving, what="serving")
        (line,) = gateway.log("serving")
        gateway.listen, gateway.admin = line["listen"], line["admin"]
        return gateway

    return start
