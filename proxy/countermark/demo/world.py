"""The demo's world: photographs, a private origin that has them, and the gateway in front of it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from countermark.demo.files import forget, write_files
from countermark.demo.origin import TOKEN_VARIABLE
from countermark.demo.walk import fetch

PHOTOS = Path(__file__).parent / "photos"
OWN_BRAND = "acme-4006381333931.jpg"
OTHER_BRAND = "rival-4012345000016.jpg"
START_SECONDS = 30

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running demo. The processes live as long as the context that made it."""

    folder: Path
    public: Address
    admin: Address
    origin: Address
    token: str
    gateway: subprocess.Popen[bytes]


@contextmanager
def running(folder: Path, public: Address, admin: Address) -> Iterator[World]:
    """Make the world in `folder` and run it; both processes end with the context. Raises RuntimeError."""
    originals = folder / "originals"
    _make_originals(originals)
    token = secrets.token_urlsafe(24)
    origin = _start_origin(originals, token)
    gateway: subprocess.Popen[bytes] | None = None
    try:
        port = _read_port(origin)
        forget(folder)
        write_files(
            folder,
            public="{}:{}".format(*public),
            admin="{}:{}".format(*admin),
            origin=f"http://127.0.0.1:{port}/",
            token=token,
        )
        gateway = _start_gateway(folder)
        _wait_until_ready(gateway, public)
        yield World(folder=folder, public=public, admin=admin, origin=("127.0.0.1", port), token=token, gateway=gateway)
    finally:
        if gateway is not None:
            _end(gateway)
        _end(origin)


def free_address() -> Address:
    """A loopback address whose port the kernel has just found free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", probe.getsockname()[1]


def _make_originals(folder: Path) -> None:
    """The photographs, and three files that only say that they are pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in PHOTOS.glob("*.jpg"):
        shutil.copy(photo, folder)
    coffee = (PHOTOS / "coffee.jpg").read_bytes()
    for name in ("0012345678905-front.jpg", OWN_BRAND, OTHER_BRAND):
        (folder / name).write_bytes(coffee)
    (folder / "text.jpg").write_text("This is a text. Its name says that it is a picture.\n")
    (folder / "half.jpg").write_bytes(coffee[: len(coffee) // 2])
    (folder / "bomb.jpg").write_bytes(_claim_size(coffee, 65_500, 65_500))


def _claim_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same file with other dimensions in its frame header (ITU T.81 §B.2.2)."""
    frame = jpeg.index(b"\xff\xc0")
    sizes = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return jpeg[: frame + 5] + sizes + jpeg[frame + 9 :]


def _start_origin(folder: Path, token: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "countermark.demo.origin", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, TOKEN_VARIABLE: token},
    )


def _read_port(origin: subprocess.Popen[bytes]) -> int:
    assert origin.stdout is not None
    line = origin.stdout.readline()
    if not line:
        raise RuntimeError("The demo's origin did not start.")
    return int(line)


def _start_gateway(folder: Path) -> subprocess.Popen[bytes]:
    """The gateway as a user would start it; its log goes to a file of the demo's folder."""
    with (folder / "gateway.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "countermark.cli.main", "serve", "--config", str(folder / "settings.yaml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_until_ready(gateway: subprocess.Popen[bytes], public: Address) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if gateway.poll() is not None:
            raise RuntimeError(f"The gateway ended with status {gateway.returncode} while it started.")
        try:
            if fetch(public, "/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"The gateway was not ready within {START_SECONDS} seconds.")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
