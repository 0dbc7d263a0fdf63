"""All that the benchmark knows of countermark itself: how it is started, signed for, counted and ended.

The other files see a `Gateway` with an address, targets that it will answer, counters and process ids.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from benchmarks import processes
from benchmarks.load import Address
from countermark.core.errors import CountermarkError
from countermark.core.target import parse_target
from countermark.imaging.operations import Limits, Operations, OutputFormat, Recipe
from countermark.keys.keyring import Key
from countermark.render.pool import RenderPool
from countermark.settings.model import RenderSettings
from countermark.signing.native import mint_native

SOURCE = Path(__file__).parents[1] / "proxy"
HOST = "bench.local"
SECRET = bytes(range(32))
LIFE = 6 * 3600

# What a measurement may ask for, by the names and labels that /metrics has for them.
RENDERS = ("countermark_stage_seconds_count", {"stage": "render"})
FETCHES: tuple[str, Mapping[str, str]] = ("countermark_origin_requests_total", {})

# Render settings under which nothing is shed, for measurements that are not about shedding.
PATIENT: Mapping[str, object] = {"queue_delay": 60}

# Takes cores, descriptors and a listening socket's number from the command line, and becomes the gateway with them.
LAUNCH = """
import os, resource, sys
cores, descriptors, listening, *command = sys.argv[1:]
if cores:
    os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
if descriptors:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
if listening:
    os.dup2(int(listening), 3)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, *command])
"""


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running gateway with the site `bench` at / and, where an HTTP origin was given, `remote` at /remote/."""

    process: subprocess.Popen[bytes]
    address: Address
    admin: Address
    folder: Path
    key: Key
    log: Path
    expires: int = field(default_factory=lambda: int(time.time()) + LIFE)

    def target(
        self,
        key: str,
        query: str = "",
        *,
        site: str = "bench",
        expires: int = 0,
        address: str = "",
        facts: Mapping[str, str] = {},
    ) -> str:
        """A signed target for an object, such as target("photo.jpg", "w=800&q=80"); `expires` 0 is some hours ahead.
        `facts` are further signed ones, by their names in the URL."""
        path = f"/remote/{key}" if site == "remote" else f"/{key}"
        unsigned = f"{path}?{query}" if query else path
        return mint_native(
            parse_target(unsigned),
            audience=site,
            key=self.key,
            expires=expires or self.expires,
            address=ip_network(address) if address else None,
            facts=facts,
        )

    def fetch(self, key: str, query: str = "") -> bytes:
        """The body of an answer. Raises OSError unless it is a 2xx."""
        url = f"http://{self.address[0]}:{self.address[1]}{self.target(key, query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def count(self, metric: tuple[str, Mapping[str, str]]) -> float:
        """A metric, summed over all series that have these labels."""
        name, labels = metric
        url = f"http://{self.admin[0]}:{self.admin[1]}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return sum(
            sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def predicted_memory(self, key: str, query: str) -> int:
        """The bytes that the cost gate predicts: it says so when it refuses. For one that admits nothing."""
        url = f"http://{self.address[0]}:{self.address[1]}{self.target(key, query)}"
        try:
            with urllib.request.urlopen(url, timeout=60):
                raise RuntimeError(f"{key} was rendered although nothing may take any memory")
        except urllib.error.HTTPError as refusal:
            said = re.search(r"would take ([0-9,]+) bytes", refusal.read().decode())
        if said is None:
            raise RuntimeError(f"{key} was refused for something else than its memory")
        return int(said.group(1).replace(",", ""))

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return processes.tree(self.process.pid)

    @property
    def workers(self) -> list[int]:
        """The worker processes: the first process's own children."""
        return processes.children_of(self.process.pid)

    @property
    def render_children(self) -> list[int]:
        """The processes that decode: whoever has nobody below itself."""
        return processes.leaves(self.process.pid)

    def reload(self, patience: float = 20.0) -> None:
        """Reload, and wait until no worker of before is left. Raises RuntimeError if that does not come."""
        before = set(self.workers)
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + patience
        while before & set(self.workers):
            if time.monotonic() > end:
                raise RuntimeError(f"old workers are still there {patience:g} s after SIGHUP\n{self.tail()}")
            time.sleep(0.02)
        self.wait_ready()

    def wait_ready(self, patience: float = 30.0) -> None:
        """Wait until its own /readyz says 200; on a shared socket a predecessor might answer. Raises RuntimeError."""
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            if _is_ready(self.admin):
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the gateway did not become ready; its log ends with:\n{self.tail()}")

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End it, and whatever is left of it."""
        processes.end(self.process, patience=15.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


async def refusals(
    bombs: Sequence[tuple[bytes, OutputFormat]], *, width: int, rounds: int
) -> list[tuple[str, list[float]]]:
    """For each original with its target format: the render wall's verdict ("" is a picture) and the seconds that it took.

    The wall of one worker with one child and the default limits, without the gateway around it: from the moment at which
    the child is given the original to its verdict.
    """
    pool = await RenderPool.start(RenderSettings(children=1), {})
    try:
        return [
            await _verdict(
                pool, body, Recipe(operations=Operations(width=width, format=target), limits=Limits()), rounds
            )
            for body, target in bombs
        ]
    finally:
        await pool.close()


async def _verdict(pool: RenderPool, body: bytes, recipe: Recipe, rounds: int) -> tuple[str, list[float]]:
    reason, taken = "", []
    for _ in range(rounds):
        with contextlib.closing(pool.parcel(limit=len(body))) as parcel:
            parcel.write(body)
            start = time.perf_counter()
            try:
                await pool.render(parcel, recipe)
            except CountermarkError as refusal:
                reason = refusal.reason
            taken.append(time.perf_counter() - start)
    return reason, taken


def _is_ready(address: Address) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """A port that the kernel says is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    folder: Path,
    originals: Path,
    *,
    workers: int,
    remote: str = "",
    render: Mapping[str, object] | None = None,
    forward_auth: Mapping[str, object] | None = None,
    cores: Sequence[int] = (),
    descriptors: int = 0,
    listening: socket.socket | None = None,
    disk: bool = True,
    hops: Mapping[str, object] | None = None,
    sections: Mapping[str, object] | None = None,
    site: Mapping[str, object] | None = None,
) -> Gateway:
    """Start a gateway and wait until it is ready. Raises RuntimeError.

    folder       where its settings, keys, cache and log go
    remote       base URL of an HTTP origin on loopback for the site `remote`
    forward_auth questions at /verify, from a proxy on loopback whose cache may keep the answers
    cores        pin it there
    descriptors  its limit of open files
    listening    hand it this socket (LISTEN_FDS) instead of an address of its own
    disk         whether it has a disk cache
    hops         proxies in front
    sections     further sections of its settings, such as store; paths are meant from `folder`
    site         further keys of the site `bench`
    """
    folder.mkdir(parents=True, exist_ok=True)
    public = listening.getsockname() if listening else ("127.0.0.1", free_port())
    admin = ("127.0.0.1", free_port())
    _write(folder / "keys.yaml", _keys())
    _write(
        folder / "settings.yaml",
        {
            "server": {
                "listen": _text(public),
                "admin": _text(admin),
                "workers": workers,
                **_front(forward_auth, hops),
            },
            "keys": str(folder / "keys.yaml"),
            "cache": {"disk": str(folder / "cache") if disk else "", "disk_size": "4GiB"},
            "render": dict(render or {}),
            "origins": _origins(originals, remote),
            "sites": _sites(remote, {"shared_caches": forward_auth is not None, **(site or {})}),
            "log": {"format": "json", "level": "warning", "requests": False},
            **(sections or {}),
        },
    )
    log = folder / f"gateway-{public[1]}-{admin[1]}.log"
    limits = [",".join(map(str, cores)), str(descriptors or ""), str(listening.fileno()) if listening else ""]
    serve = ["-m", "countermark.cli.main", "serve", "--config", str(folder / "settings.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *limits, *serve],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": _path()},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            pass_fds=[listening.fileno()] if listening else [],
        )
    gateway = Gateway(process=process, address=public, admin=admin, folder=folder, key=_key(), log=log)
    gateway.wait_ready()
    return gateway


def _path() -> str:
    """The import path of the tree under measurement; a caller's own PYTHONPATH comes first."""
    return os.pathsep.join(part for part in (os.environ.get("PYTHONPATH", ""), str(SOURCE)) if part)


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _key() -> Key:
    return Key(id="bench", dialect="native", algorithm="hmac-sha256", material=SECRET)


def _keys() -> list[dict[str, object]]:
    secret = base64.urlsafe_b64encode(SECRET).decode().rstrip("=")
    return [{"id": "bench", "dialect": "native", "algorithm": "hmac-sha256", "secret": secret}]


def _origins(originals: Path, remote: str) -> dict[str, object]:
    bounds = {"max_bytes": "1GiB", "max_stream_bytes": "8GiB"}
    origins: dict[str, object] = {"local": {"url": f"file:{originals}", **bounds}}
    if remote:
        origins["remote"] = {"url": remote, "allow_networks": ["127.0.0.0/8"], **bounds}
    return origins


def _front(forward_auth: Mapping[str, object] | None, hops: Mapping[str, object] | None) -> dict[str, object]:
    if forward_auth is None:
        return {"hops": dict(hops)} if hops else {}
    return {"trusted_proxies": ["127.0.0.0/8"], "forward_auth": dict(forward_auth)}


def _sites(remote: str, further: Mapping[str, object]) -> list[dict[str, object]]:
    sites: list[dict[str, object]] = [{"name": "bench", "origin": "local", "accept": ["native"], **further}]
    if remote:
        sites.append({"name": "remote", "origin": "remote", "match": {"prefix": "/remote/"}, "accept": ["native"]})
    return sites


def _write(path: Path, content: object) -> None:
    with path.open("w") as output:
        YAML().dump(content, output)
    path.chmod(0o600)
