"""nginx as the thing that stands still: one worker behind secure_link for hits, two with image_filter for renders."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.gateway import free_port
from benchmarks.load import Address
from benchmarks.setting import tool

SECRET = "benchmark"
IMAGE_FILTER = Path("/usr/lib/nginx/modules/ngx_http_image_filter_module.so")

# No access log, as the gateway writes none in these runs either; keep-alive without end for both.
FRAME = """
{modules}
{user}
daemon off;
worker_processes {workers};
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=1000;
  default_type image/jpeg;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{servers}
}}
"""

SERVER = """
  server {{
    listen 127.0.0.1:{port};
    root {root};
{locations}
  }}
"""

SECURE_LINK = f"""
    location / {{
      secure_link $arg_sig,$arg_exp;
      secure_link_md5 "$secure_link_expires$uri {SECRET}";
      if ($secure_link = "") {{ return 403; }}
      if ($secure_link = "0") {{ return 410; }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx."""

    address: Address
    pid: int


def signed(uri: str) -> str:
    """A target that the secure_link location accepts for an hour."""
    expires = int(time.time()) + 3600
    digest = hashlib.md5(f"{expires}{uri} {SECRET}".encode(), usedforsecurity=False).digest()
    return f"{uri}?exp={expires}&sig={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def image_filter_locations(widths: Sequence[int], quality: int) -> str:
    """/WIDTH/key is the object resized to that width."""
    return "".join(
        f"    location /{width}/ {{ alias {{root}}/; image_filter resize {width} -;"
        f" image_filter_jpeg_quality {quality}; image_filter_buffer 64M; }}\n"
        for width in widths
    )


@contextlib.contextmanager
def running(
    folder: Path, root: Path, *, workers: int, locations: str, modules: Sequence[Path] = (), cores: Sequence[int] = ()
) -> Iterator[Nginx]:
    """nginx with one server for these locations. Raises RuntimeError where it does not come up."""
    port = free_port()
    servers = SERVER.format(port=port, root=root, locations=locations.replace("{root}", str(root)))
    with serving(folder, servers, port, workers=workers, modules=modules, cores=cores) as nginx:
        yield nginx


@contextlib.contextmanager
def serving(
    folder: Path, servers: str, port: int, *, workers: int, modules: Sequence[Path] = (), cores: Sequence[int] = ()
) -> Iterator[Nginx]:
    """nginx in the foreground, with what may stand in its http block; ended on leaving. Raises RuntimeError."""
    (folder / "nginx.conf").write_text(
        FRAME.format(
            modules="\n".join(f"load_module {module};" for module in modules),
            workers=workers,
            folder=folder,
            servers=servers,
            user="user root;" if os.geteuid() == 0 else "",  # the temporary folder belongs to whoever runs this
        )
    )
    command = [str(tool("nginx")), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
    if cores:
        command = ["taskset", "-c", ",".join(map(str, cores)), *command]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, ("127.0.0.1", port), folder / "error.log")
        yield Nginx(("127.0.0.1", port), process.pid)
    finally:
        processes.end(process)


def _wait(process: subprocess.Popen[bytes], address: Address, log: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return
        time.sleep(0.02)
    said = log.read_text() if log.exists() else ""
    raise RuntimeError(f"nginx did not come up: {said.strip()}")
