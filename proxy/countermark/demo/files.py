"""The files of the demo's gateway, and the changes that the tour makes to them while it serves."""

from __future__ import annotations

import os
import secrets
import shutil
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countermark.core.encoding import base64url
from countermark.settings.tokens import AdminToken, render_token
from countermark.web.admin_gate import hash_of, new_token

BRAND = Path(__file__).parent / "brand.png"
WORKERS = 2

_SIGN = "# Written by `countermark demo`."

_SETTINGS = """\
# Written by `countermark demo`. This is all that a gateway needs.
server:
  listen: {public}
  admin: {admin}
  workers: {workers}
  trusted_proxies: [127.0.0.0/8]         # whoever asks from this machine may say for whom (X-Forwarded-For) …
  country_header: CF-IPCountry           # … and from which country, as a CDN in front would
  forward_auth: {{ target: X-Original-URI }}
keys: ./keys.yaml
clients: ./clients.yaml
policies: ./policies
admin: {{ tokens: ./admin-tokens.yaml }}
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
  - {{ name: licensed, origin: photos, match: {{ prefix: /licensed/ }}, policy: licensed }}
  - {{ name: brands, origin: photos, match: {{ prefix: /brands/ }}, catalogue: "{{brand}}-{{barcode}}.jpg" }}
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
- {{ id: demo-old, state: active, secret: {old} }}
- {{ id: demo-new, state: pending, secret: {new} }}
- {{ id: demo-seal, dialect: session, secret: {seal} }}
- {{ id: demo-keycdn-image, dialect: keycdn_image, algorithm: md5, text_secret: {image} }}
- {{ id: demo-keycdn-access, dialect: keycdn_access, algorithm: md5, text_secret: {access} }}
- {{ id: demo-pixel-fiddler, dialect: pixel_fiddler, algorithm: ecdsa-p256, public: {pair_public}, private: {pair} }}
- {{ id: demo-ogimage, dialect: ogimage, text_secret: {card} }}
- {{ id: demo-retail-digitals, dialect: retail_digitals, secret: {token} }}
"""

_CLIENTS = """\
acme: { networks: [192.0.2.0/24], scope: { brands: [acme] } }
hasty: { rate: 0.02, burst: 2 }        # two at once, then one in 50 seconds
cl_demo: {}
"""

_POLICY = """\
template: licensed
version: 1
description: Pictures that are licensed for Germany, Austria and Switzerland.
owner: demo
require: [user]
expires: { ttl: 10m }
transforms: { max_width: 2000 }
geo: { allow: [DE, AT, CH], unknown: deny }
ceiling:
  address: { requests: 600, per: 1m, burst: 120 }
respond: { headers: [template] }
retention: 30d
examples:
  - permit: a user in Austria
    request: { signs: [user], operations: w=300, country: AT, life: 10m }
  - deny: a user in Norway
    request: { signs: [user], operations: w=300, country: "NO", life: 10m }
    reason: country_not_allowed
"""


class Files:
    """The demo's folder, as an operator edits it. What is edited counts from the gateway's next reload."""

    def __init__(self, folder: Path) -> None:
        self.settings = folder / "settings.yaml"
        self.token = folder / "admin-token"
        self._keys = folder / "keys.yaml"
        self._policy = folder / "policies" / "licensed.yaml"

    def admin_token(self) -> str:
        """The token of the admin API, which has every role."""
        return self.token.read_text()

    def rotate(self) -> None:
        """The new key signs from now on; the old one still opens what it has signed."""
        self._edit(self._keys, "id: demo-new, state: pending", "id: demo-new, state: active")
        self._edit(self._keys, "id: demo-old, state: active", "id: demo-old, state: retiring")

    def end_overlap(self) -> None:
        """The old key opens nothing any more."""
        self._edit(self._keys, "id: demo-old, state: retiring", "id: demo-old, state: revoked")

    def misspell_policy(self) -> None:
        """A slip, as people make them."""
        self._edit(self._policy, "max_width: 2000", "max_widht: 300")

    def tighten_policy(self) -> None:
        """Version 2, which allows smaller pictures only."""
        self._edit(self._policy, "version: 1", "version: 2")
        self._edit(self._policy, "max_widht: 300", "max_width: 300")

    def _edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text, f"{path.name} does not say {old!r}"
        _write(path, text.replace(old, new))


def forget(folder: Path) -> None:
    """Take away what an earlier demo has kept in this folder, so that each tour begins with empty caches and counters."""
    settings = folder / "settings.yaml"
    # Nobody else's folder is touched, whatever it holds under these names.
    if settings.is_file() and settings.read_text().startswith(_SIGN):
        for name in ("cache", "state"):
            shutil.rmtree(folder / name, ignore_errors=True)


def write_files(folder: Path, *, public: str, admin: str, origin: str, token: str) -> None:
    """Everything that the gateway reads, with new secrets; `token` is the one that the origin asks for."""
    settings = _SETTINGS.format(public=public, admin=admin, workers=WORKERS, origin=origin, token=token)
    admin_token = new_token()
    entry = AdminToken(name="demo", sha256=hash_of(admin_token), roles=("admin",))
    (folder / "policies").mkdir(exist_ok=True)
    for name, text in {
        "settings.yaml": settings,
        "keys.yaml": _new_keys(),
        "clients.yaml": _CLIENTS,
        "policies/licensed.yaml": _POLICY,
        "admin-tokens.yaml": render_token(entry),
        "admin-token": admin_token,
    }.items():
        _write(folder / name, text)
    shutil.copy(BRAND, folder)


def _new_keys() -> str:
    private = secrets.token_bytes(32)
    pair = generate_private_key(SECP256R1())
    public_key = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return _KEYS.format(
        hmac=_new_secret(),
        public=base64url(public_key),
        private=base64url(private),
        old=_new_secret(),
        new=_new_secret(),
        seal=_new_secret(),
        image=secrets.token_hex(16),
        access=secrets.token_hex(16),
        pair_public=b64encode(pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
        pair=b64encode(pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode(),
        card=secrets.token_hex(24),
        token=_new_secret(),
    )


def _new_secret() -> str:
    return base64url(secrets.token_bytes(32))


def _write(path: Path, text: str) -> None:
    """For the gateway's user alone, and in one step: whoever reads meanwhile gets the old text or the new one whole."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)
