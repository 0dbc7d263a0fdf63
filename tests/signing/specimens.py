"""One good request of every dialect of the table: what the suites change, and the readers are fed with."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.cloudfront import canned_policy, write_text
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import sign
from countermark.signing.realm import waivers
from countermark.signing.rfc9421 import read_input, signature_base
from countermark.signing.table import DIALECTS
from tests.signing.pairs import pair_key
from tests.signing.scene import CLIENT, LATER, NOW, edge, realm_with

BASE = "https://img.example.com"
PREFIX = "/img/17/"
TARGET = f"{PREFIX}a1.jpg?w=17&h=21"
TARGETS = {
    "akamai_edgeauth": "/img/17/a1.jpg",
    "azure_blob_sas": "/img/17/a1.jpg",
    "bunny_basic": "/img/17/a1.jpg",
    "cloudinary": "/image/upload/c_fill,w_17/img/17.jpg",
    "cloudinary_auth_token": "/image/upload/w_17/img/17.jpg",
    "fastly_token": "/img/17/a1.jpg",
    "gcp_cdn_cookie": "/img/17/a1.jpg",
    "gcp_media_cdn_cookie": "/img/17/a1.jpg",
    "gcp_media_cdn_token": "/img/17/a1.jpg",
    "imagekit": "/tr:w-17/img/17.jpg?v=2",
    "imageproxy": "/17x21,q75/https://origin.example.com/17.jpg",
    "imagor": "/17x21/img/17.jpg",
    "imgproxy": "/rs:fit:17:21/plain/local:///17.jpg",
    "keycdn_access": "/img/17/a1.jpg",
    "keycdn_image": "/img/17/a1.jpg?olwidth=17&width=21&crop=1,2,3,4",
    "nginx_secure_link": "/img/17/a1.jpg",
    "nginx_secure_link_hmac": "/img/17/a1.jpg",
    "retail_digitals": "/i/0012345678905/front?w=17",
    "thumbor": "/17x21/img/17.jpg",
}
OPTIONS: Mapping[str, Mapping[str, Value]] = {"azure_blob_sas": {"account": "pictures"}}
BOUND = frozenset({"nginx_secure_link", "retail_digitals"})
EXTRAS = {"retail_digitals": {"client_id": "cl_7f3a"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A request that opens; `prefix` is the path below which it opens everything, "" where one URL is all."""

    target: str
    realm: Realm
    keyring: Keyring
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""


def specimen(name: str) -> Specimen:
    """The dialect's own request."""
    realm = realm_with(
        name, base_url=BASE, options={name: OPTIONS.get(name, {})}, sources=("https://origin.example.com/",)
    )
    key, target = _key(name), TARGETS.get(name, TARGET)
    keyring = Keyring([key])
    if name in CARRIED:
        headers, prefix = CARRIED[name](target, key)
        return Specimen(target=target, realm=realm, keyring=keyring, headers=headers, prefix=prefix)
    order = MintOrder(
        now=NOW,
        expires=min(LATER, NOW + 900),
        address=ip_address(CLIENT) if name in BOUND else None,
        extras=EXTRAS.get(name, {}),
        nonce="AAECAwQFBgcICQoLDA0ODw",
    )
    url = DIALECTS[name].mint(parse_target(target, waive=waivers(realm)), realm, key, order)
    return Specimen(target=url, realm=realm, keyring=keyring)


def _key(name: str) -> Key:
    facts = DIALECTS[name].capabilities
    algorithm = "ecdsa-p256" if "ecdsa-p256" in facts.algorithms else facts.algorithms[0]
    if algorithm in ("ecdsa-p256", "ed25519"):
        return pair_key("own", name, algorithm)
    return Key(
        id="own", dialect=name, algorithm=algorithm, material=b"a secret" * 4, salt=b"salt" if facts.salted else b""
    )


def _cloudfront_cookie(target: str, key: Key) -> tuple[dict[str, str], str]:
    policy = canned_policy(f"{BASE}{target}", LATER)
    values = {"Expires": str(LATER), "Signature": write_text(sign(key, policy)), "Key-Pair-Id": key.id}
    values |= {"Hash-Algorithm": "SHA256"}
    return {"cookie": "; ".join(f"CloudFront-{part}={value}" for part, value in values.items())}, ""


def _google_cookie(cookie: str, key: Key) -> tuple[dict[str, str], str]:
    prefix = urlsafe_b64encode(f"{BASE}{PREFIX}".encode()).decode()
    text = f"URLPrefix={prefix}:Expires={LATER}:KeyName={key.id}"
    signature = urlsafe_b64encode(sign(key, text.encode())).decode()
    return {"cookie": f"{cookie}={text}:Signature={signature}"}, PREFIX


def _signed_message(target: str, key: Key) -> tuple[dict[str, str], str]:
    text = '("@method" "@authority" "@path" "@query")'
    text += f';created={NOW};expires={NOW + 300};keyid="{key.id}";tag="cdn-to-gateway"'
    base = signature_base(read_input(f"edge={text}"), edge(target))
    signature = b64encode(sign(key, base.encode())).decode()
    return {"signature-input": f"edge={text}", "signature": f"edge=:{signature}:"}, ""


CARRIED = {
    "cloudfront_cookie": _cloudfront_cookie,
    "gcp_cdn_cookie": lambda target, key: _google_cookie("Cloud-CDN-Cookie", key),
    "gcp_media_cdn_cookie": lambda target, key: _google_cookie("Edge-Cache-Cookie", key),
    "rfc9421": _signed_message,
}
