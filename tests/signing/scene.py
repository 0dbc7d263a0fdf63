"""One site, its keys and a clock, for the tests of signing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import Realm
from countermark.signing.endless import UNLIMITED
from countermark.signing.realm import defaults, waivers
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate

NOW = 1_700_000_000
LATER = NOW + 3600
CLIENT = "203.0.113.7"

# RFC 8032 §7.1, TEST 1.
_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def key_pair(name: str) -> Key:
    """A key of Pixel Fiddler's, made of its name."""
    private = derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest()) >> 1, SECP256R1())
    return Key(
        id=name,
        dialect="pixel_fiddler",
        algorithm="ecdsa-p256",
        material=private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        private=private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )


HMAC = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(range(32)))
ED25519 = Key(id="ed", dialect="native", algorithm="ed25519", material=_PUBLIC, private=_SEED)
IMAGE = Key(id="image-zone", dialect="keycdn_image", algorithm="md5", material=b"image-zone-secret")
ACCESS = Key(id="access-zone", dialect="keycdn_access", algorithm="md5", material=b"access-zone-secret")
SPACE = key_pair("space")
KEYRING = Keyring([HMAC, ED25519, IMAGE, ACCESS])


def realm(*dialects: str, site: str = "shop", keycdn_ip: bool = False) -> Realm:
    """A realm whose audience is its site's name."""
    return realm_with(*dialects or ("native",), site=site, options={"keycdn_access": {"ip": keycdn_ip}})


def realm_with(
    *dialects: str,
    site: str = "shop",
    options: Mapping[str, Mapping[str, Value]] = {},
    prefix: str = "/",
    base_url: str = "",
    sources: tuple[str, ...] = (),
) -> Realm:
    """A realm with these options of its dialects, the others as they are by default; but URLs without an end are taken."""
    chosen = {name: defaults(name) | _endless(name) | dict(options.get(name, {})) for name in dialects}
    return Realm(
        site=site,
        audience=site,
        dialects=dialects,
        prefix=prefix,
        options=chosen,
        base_url=base_url,
        sources=sources,
    )


def _endless(dialect: str) -> dict[str, Value]:
    return {option.name: True for option in DIALECTS[dialect].options if option.name == UNLIMITED}


def edge(
    target: str,
    *,
    client: str = CLIENT,
    method: str = "GET",
    waive: frozenset[str] = frozenset(),
    headers: Mapping[str, str] = {},
    host: str = "img.example.com",
) -> EdgeRequest:
    """A request for this raw target."""
    return EdgeRequest(
        id="r",
        method=method,
        target=parse_target(target, waive=waive),
        host=host,
        client=ip_address(client),
        headers=headers,
        received=float(NOW),
    )


def check(
    target: str,
    where: Realm,
    *,
    keyring: Keyring = KEYRING,
    now: float = NOW,
    client: str = CLIENT,
    method: str = "GET",
    headers: Mapping[str, str] = {},
    host: str = "img.example.com",
) -> Claims:
    """Authenticate this raw target by the rules of its realm."""
    asked = edge(target, client=client, method=method, waive=waivers(where), headers=headers, host=host)
    return authenticate(asked, where, keyring, now)
