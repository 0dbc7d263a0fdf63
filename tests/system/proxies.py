"""The samples of deploy/forward-auth in real servers, each in front of a gateway of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.gateway import free_port
from benchmarks.load import Address
from benchmarks.setting import tool

from benchmarks import forwarding, gateway, processes
from tests.system.conftest import WAIT, until

Places = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One proxy: its program, what it wants of the gateway, and how it is started in a folder.

    `caches` is whether it keeps pictures of the gateway under the key; else it stands before another server.
    """

    program: str
    asks: Mapping[str, object]
    caches: bool
    start: Callable[[Path, int, str, str], list[str]]


def program(name: str) -> str | None:
    """Its path; None where this machine lacks it. Wheels put theirs beside the interpreter."""
    return tool(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _varnish(folder: Path, port: int, asked: str, behind: str) -> list[str]:
    host, asked_port = asked.split(":")
    places = {'.host = "127.0.0.1"': f'.host = "{host}"', '.port = "8080"': f'.port = "{asked_port}"'}
    (folder / "sample.vcl").write_text(forwarding.sample("varnish.vcl", places))
    listen = ["-a", f"127.0.0.1:{port}", "-f", str(folder / "sample.vcl"), "-n", str(folder / "varnish")]
    return ["-F", "-j", "none", "-s", "malloc,64m", *listen]


def _haproxy(folder: Path, port: int, asked: str, behind: str) -> list[str]:
    lua = folder / "countermark.lua"
    lua.write_text(forwarding.sample("countermark.lua", {"127.0.0.1:8080": asked}))
    places = {":8000": f"127.0.0.1:{port}", "127.0.0.1:8080": asked, "/etc/haproxy/countermark.lua": str(lua)}
    (folder / "haproxy.cfg").write_text(forwarding.sample("haproxy.cfg", places))
    return ["-db", "-f", str(folder / "haproxy.cfg")]


def _caddy(folder: Path, port: int, asked: str, behind: str) -> list[str]:
    places = {":8000": f"http://127.0.0.1:{port}", "127.0.0.1:8080": asked, "127.0.0.1:9000": behind}
    quiet = "{\n\tadmin off\n}\n"
    (folder / "Caddyfile").write_text(quiet + forwarding.sample("Caddyfile", places))
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _traefik(folder: Path, port: int, asked: str, behind: str) -> list[str]:
    routes = folder / "traefik-routes.yaml"
    routes.write_text(forwarding.sample("traefik-routes.yaml", {"127.0.0.1:8080": asked, "127.0.0.1:9000": behind}))
    places = {":8000": f"127.0.0.1:{port}", "/etc/traefik/traefik-routes.yaml": str(routes)}
    (folder / "traefik.yaml").write_text(forwarding.sample("traefik.yaml", places))
    return [f"--configFile={folder / 'traefik.yaml'}"]


def _envoy(folder: Path, port: int, asked: str, behind: str) -> list[str]:
    places = {
        "address: 0.0.0.0, port_value: 8000": f"address: 127.0.0.1, port_value: {port}",
        "port_value: 8080": f"port_value: {asked.split(':')[1]}",
        "port_value: 9000": f"port_value: {behind.split(':')[1]}",
    }
    (folder / "envoy.yaml").write_text(forwarding.sample("envoy.yaml", places))
    return ["-c", str(folder / "envoy.yaml"), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]


_FORWARDED = {"target": "X-Forwarded-Uri", "host": "X-Forwarded-Host", "method": "X-Forwarded-Method"}

SAMPLES: Mapping[str, Sample] = {
    "varnish": Sample(program="varnishd", asks={"target": "X-Original-URI"}, caches=True, start=_varnish),
    "haproxy": Sample(
        program="haproxy",
        asks={"target": "X-Original-URI", "host": "X-Forwarded-Host", "method": "X-Original-Method"},
        caches=True,
        start=_haproxy,
    ),
    "caddy": Sample(program="caddy", asks=_FORWARDED, caches=False, start=_caddy),
    "traefik": Sample(program="traefik", asks=_FORWARDED, caches=False, start=_traefik),
    "envoy": Sample(program="envoy", asks={"target": "X-Original-URI", "only_200": True}, caches=False, start=_envoy),
}


class Front:
    """A running proxy, the gateway that it asks, and what came through to the server behind it."""

    def __init__(self, address: Address, gate: gateway.Gateway, *, caches: bool) -> None:
        self.address = address
        self.gate = gate
        self.caches = caches

    def get(
        self, target: str, fields: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, dict[str, str], bytes]:
        """One viewer's request; status, fields in lower case, body."""
        connection = HTTPConnection(*self.address, timeout=WAIT)
        try:
            connection.request(method, target, headers=dict(fields or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def served(self) -> float:
        """How many pictures the gateway itself has answered."""
        return self.gate.count(("countermark_cache_results_total", {}))


@contextmanager
def running(name: str, folder: Path, originals: Path) -> Iterator[Front]:
    """A gateway, the server behind, and the proxy before them; all ended on leaving."""
    with ExitStack() as stack:
        if name == "nginx":
            gate = _gateway(stack, folder, originals, forwarding.NGINX_ASKS)
            (folder / "nginx").mkdir()
            address = stack.enter_context(forwarding.running(folder / "nginx", gate.address))
            yield Front(address, gate, caches=True)
            return
        sample = SAMPLES[name]
        gate = _gateway(stack, folder, originals, sample.asks)
        behind = stack.enter_context(_behind())
        port = free_port()
        arguments = sample.start(folder, port, "{}:{}".format(*gate.address), "{}:{}".format(*behind))
        with (folder / "proxy.log").open("wb") as log:
            process = subprocess.Popen(
                [str(program(sample.program)), *arguments],
                env={**os.environ, "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        stack.callback(processes.end, process)
        front = Front(("127.0.0.1", port), gate, caches=sample.caches)
        _until_up(process, front, folder / "proxy.log")
        yield front


def _gateway(stack: ExitStack, folder: Path, originals: Path, asks: Mapping[str, object]) -> gateway.Gateway:
    return stack.enter_context(gateway.start(folder / "gateway", originals, workers=1, forward_auth=asks))


def _until_up(process: subprocess.Popen[bytes], front: Front, log: Path) -> None:
    """Until it passes on what the gateway says: Traefik listens before it knows its routes."""

    def up() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        with suppress(OSError):
            return front.get("/unsigned.jpg")[0] == 401
        return False

    until(up, what="the proxy")


class _Echo(BaseHTTPRequestHandler):
    """Another server behind a proxy: it says what reached it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"target": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_HEAD = do_POST = do_OPTIONS = do_GET  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def _behind() -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "127.0.0.1", server.server_address[1]
    finally:
        server.shutdown()
        thread.join(WAIT)
        server.server_close()
