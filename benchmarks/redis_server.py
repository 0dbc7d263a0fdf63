"""A Redis of the benchmark's own, which forgets everything when it ends."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError


def installed() -> bool:
    """Whether the program is there."""
    return shutil.which("redis-server") is not None


class RedisServer:
    """One process; started when entered, killed when left."""

    def __init__(self, folder: Path, *, replica_of: int = 0) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.client = Redis(port=self.port, socket_timeout=5)
        self._folder = folder
        self._options = ["--replicaof", "127.0.0.1", str(replica_of)] if replica_of else []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers, and follows where it should."""
        self._folder.mkdir(parents=True, exist_ok=True)
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        forgetful = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        command = ["redis-server", *place, *forgetful, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not self._ready():
            if time.monotonic() > end:
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.01)

    def kill(self) -> None:
        """As a crash would."""
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def signal(self, number: int) -> None:
        """Stop it or let it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def _ready(self) -> bool:
        try:
            facts = self.client.info("replication")
        except (RedisError, OSError):
            return False
        return not self._options or facts["master_link_status"] == "up"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
