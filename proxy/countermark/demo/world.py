"""The demo's world on disk and in processes: keys, settings, photographs, a private origin, the gateway."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countermark.core.encoding import base64url
from countermark.demo.origin import TOKEN_VARIABLE
from countermark.demo.walk import fetch

PHOTOS = Path(__file__).parent / "photos"
BRAND = Path(__file__).parent / "brand.png"
START_SECONDS = 30

_SETTINGS = """\
# Written by `countermark demo`. This is all that a gateway needs.
server:
  listen: {public}
  admin: {admin}
  workers: 2
  trusted_proxies: [127.0.0.0/8]
  forward_auth: {{ target: X-Original-URI }}
keys: ./keys.yaml
cache: {{ memory: 64MiB, disk: ./cache, disk_size: 256MiB }}
origins:
  photos:
    url: {origin}
    allow_networks: [127.0.0.0/8]        # this origin lives on loopback; by default such addresses are refused
    headers: {{ Authorization: "Bearer {token}" }}
presets:
  card: w=320&h=320&fit=cover&gravity=attention
watermarks:
  brand: {{ image: ./brand.png, opacity: 0.55, position: southeast, scale: 0.22 }}
sites:
  - {{ name: photos, origin: photos, match: {{ prefix: /photos/ }}, shared_caches: true }}
  - {{ name: shop, origin: photos, match: {{ prefix: /shop/ }}, watermark: brand }}
  - name: keycdn-image
    origin: photos
    match: {{ prefix: /keycdn/ }}
    accept: [keycdn_image]
    dialects: {{ keycdn_image: {{ unsafe_unlimited: true }} }}     # its URLs never end, and this site says that it knows
  - {{ name: keycdn-access, origin: photos, match: {{ prefix: /keycdn-access/ }}, accept: [keycdn_access] }}
  - {{ name: pixel-fiddler, origin: photos, match: {{ prefix: /pixel-fiddler/ }}, accept: [pixel_fiddler] }}
  - name: ogimage
    origin: photos
    match: {{ prefix: /og/ }}
    accept: [ogimage]
    dialects: {{ ogimage: {{ source: image }} }}
  - name: retail-digitals
    origin: photos
    match: {{ prefix: /i/ }}
    accept: [retail_digitals]
    dialects: {{ retail_digitals: {{ path: "/i/{{barcode}}-{{variant}}.jpg" }} }}
"""

_KEYS = """\
# Written by `countermark demo`: keys of no value. `countermark keys new` makes real ones.
- {{ id: demo-hmac, dialect: native, algorithm: hmac-sha256, secret: {hmac} }}
- {{ id: demo-ed25519, dialect: native, algorithm: ed25519, public: {public}, private: {private} }}
- {{ id: demo-keycdn-image, dialect: keycdn_image, algorithm: md5, text_secret: {image} }}
- {{ id: demo-keycdn-access, dialect: keycdn_access, algorithm: md5, text_secret: {access} }}
- {{ id: demo-pixel-fiddler, dialect: pixel_fiddler, algorithm: ecdsa-p256, public: {pair_public}, private: {pair} }}
- {{ id: demo-ogimage, dialect: ogimage, text_secret: {card} }}
- {{ id: demo-retail-digitals, dialect: retail_digitals, secret: {token} }}
"""

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
        _write_configuration(folder, public, admin, port, token)
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
    (folder / "0012345678905-front.jpg").write_bytes(coffee)
    (folder / "text.jpg").write_text("This is a text. Its name says that it is a picture.\n")
    (folder / "half.jpg").write_bytes(coffee[: len(coffee) // 2])
    (folder / "bomb.jpg").write_bytes(_claim_size(coffee, 65_500, 65_500))


def _claim_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same file with other dimensions in its frame header (ITU T.81 §B.2.2)."""
    frame = jpeg.index(b"\xff\xc0")
    sizes = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return jpeg[: frame + 5] + sizes + jpeg[frame + 9 :]


def _write_configuration(folder: Path, public: Address, admin: Address, origin_port: int, token: str) -> None:
    private = secrets.token_bytes(32)
    pair = generate_private_key(SECP256R1())
    public_key = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    keys = _KEYS.format(
        hmac=base64url(secrets.token_bytes(32)),
        public=base64url(public_key),
        private=base64url(private),
        image=secrets.token_hex(16),
        access=secrets.token_hex(16),
        pair_public=b64encode(pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
        pair=b64encode(pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode(),
        card=secrets.token_hex(24),
        token=base64url(secrets.token_bytes(32)),
    )
    settings = _SETTINGS.format(
        public="{}:{}".format(*public),
        admin="{}:{}".format(*admin),
        origin=f"http://127.0.0.1:{origin_port}/",
        token=token,
    )
    (folder / "keys.yaml").write_text(keys)
    (folder / "keys.yaml").chmod(0o600)
    (folder / "settings.yaml").write_text(settings)
    (folder / "settings.yaml").chmod(0o600)
    shutil.copy(BRAND, folder)


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
