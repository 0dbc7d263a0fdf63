"""A real HAProxy in front, which tells of its clients by the PROXY protocol."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path

import pytest
from benchmarks.gateway import free_port

from benchmarks import processes
from tests.mmdb import country, mmdb
from tests.system.conftest import WAIT, Gateway, Launch, config, until
from tests.system.proxies import program

VIEWERS = ("127.0.0.2", "127.0.0.3")
BEHIND = ", proxy_protocol: [127.0.0.1]"
HAPROXY = """
defaults
  mode {mode}
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen front
  bind 127.0.0.1:{port}
  {more}
  option httpchk
  http-check send meth GET uri /ok ver HTTP/1.1 hdr Host a hdr Connection close
  server gateway {gateway} {send} check inter 200ms check-send-proxy
"""


class Balancer:
    """A running HAProxy; each request is one connection from an address of the test's choice."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, viewer: str, headers: Mapping[str, str] = {}) -> tuple[int, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT, source_address=(viewer, 0))
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            response.read()
            return response.status, {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()


Balance = Callable[..., Balancer]


@pytest.fixture
def balance(tmp_path: Path) -> Iterator[Balance]:
    """A factory: balance(gateway, send, mode=..., more=...) is an HAProxy in front of the gateway."""
    if program("haproxy") is None:
        pytest.skip("haproxy is not installed")
    running: list[subprocess.Popen[bytes]] = []

    def start(gateway: Gateway, send: str, *, mode: str = "tcp", more: str = "") -> Balancer:
        port = free_port()
        text = HAPROXY.format(port=port, gateway=gateway.listen, send=send, mode=mode, more=more)
        (tmp_path / "haproxy.cfg").write_text(text)
        command = [str(program("haproxy")), "-db", "-f", str(tmp_path / "haproxy.cfg")]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL))
        until(lambda: any(line["client"] == "127.0.0.1" for line in gateway.log("request")), what="a health check")
        return Balancer(port)

    yield start
    for process in running:
        processes.end(process)


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"])
def test_haproxy_tells_who_its_clients_are(serve: Launch, balance: Balance, send: str) -> None:
    """Each connection its own; what the viewer says of himself counts for nothing."""
    gateway = serve(config(rest=BEHIND))
    front = balance(gateway, send)
    for viewer in VIEWERS:
        assert front.get("/ok", viewer)[1]["client"] == viewer
        assert front.get("/ok", viewer, {"X-Forwarded-For": "198.51.100.7"})[1]["client"] == viewer


def test_haproxys_own_header_counts_beside_its_announcement(serve: Launch, balance: Balance) -> None:
    """The hop is known by its own address, and overwrites what the viewer sent."""
    hop = ", hops: {front: {networks: [127.0.0.1], address: proxy-protocol, country: header, country_header: X-Geo}}"
    gateway = serve(config(rest=BEHIND + hop))
    front = balance(gateway, "send-proxy-v2", mode="http", more="http-request set-header X-Geo SE")
    told = front.get("/ok", VIEWERS[0], {"X-Geo": "DE"})[1]
    assert (told["client"], told["country"]) == (VIEWERS[0], "SE")


def test_without_its_header_nobody_is_served(serve: Launch) -> None:
    """A connection from the balancer's own network that announces nobody."""
    gateway = serve(config(rest=BEHIND))
    with pytest.raises(ConnectionError):
        gateway.get("/ok")
    assert gateway.metric("countermark_connections_ended_total", cause="proxy_header") == 1


def test_a_new_database_counts_from_the_next_reload(serve: Launch, tmp_path: Path) -> None:
    """A broken one is refused as a whole, and the old one stays."""
    database = tmp_path / "geo.mmdb"

    def place(content: bytes) -> None:
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").rename(database)

    place(mmdb({"127.0.0.0/8": country("SE")}))
    gateway = serve(f"{config()}geo: {{database: {database}}}\n")
    assert gateway.get("/ok")[1]["country"] == "SE"
    place(b"broken")
    gateway.reload()
    assert gateway.get("/ok")[1]["country"] == "SE"
    place(mmdb({"127.0.0.0/8": country("DE")}))
    gateway.reload()
    until(lambda: gateway.get("/ok")[1]["country"] == "DE", what="the new database")
