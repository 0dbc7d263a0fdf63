"""One signed URL of every dialect whose URLs the house can make, and what may happen to each on its way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote

from msgspec import Struct

from countermark.keys.keyring import HASHES, MACS, Key
from countermark.settings.option import Value
from countermark.signing.dialect import Realm
from countermark.signing.table import DIALECTS
from tests.signing.pairs import pair_key
from tests.signing.scene import realm_with

HOST = "img.example.com"
BASE_URL = f"https://{HOST}"


class Sample(Struct, frozen=True, kw_only=True):
    """What is signed: an unsigned target, the options of the dialect, and the words that it needs."""

    target: str = "/a%20b/Cat%5B1%5D.jpg?w=800&h=600&text=a%20b%5B1%5D"
    options: Mapping[str, Value] = {}
    extras: Mapping[str, str] = {}
    address: str = ""


_PATHS = Sample(target="/a%20b/Cat%5B1%5D.jpg")
_URL = "https%3A%2F%2Fphotos.example%2Fa%2520b%2FCat.jpg"

SAMPLES: Mapping[str, Sample] = {
    "native": Sample(),
    "akamai_edgeauth": Sample(),
    "azure_blob_sas": Sample(target="/pictures/a%20b/Cat%5B1%5D.jpg", options={"account": "pictures"}),
    "bunny_basic": _PATHS,
    "bunny_hmac": Sample(),
    "bunny_sha256_legacy": Sample(extras={"directory": ""}),
    "cloudflare_images": Sample(),
    "cloudflare_timed_hmac": Sample(),
    "cloudfront": Sample(),
    "cloudinary": Sample(
        target="/image/fetch/w_300,h_200/https://photos.example/a%20b/Cat.jpg", options={"types": ("fetch",)}
    ),
    "cloudinary_auth_token": Sample(target="/image/authenticated/w_300/a%20b/Cat.jpg"),
    "fastly_token": _PATHS,
    "gcp_cdn": Sample(),
    "gcp_media_cdn": Sample(),
    "gcp_media_cdn_token": _PATHS,
    "imagekit": Sample(target="/tr:w-300,h-200/a%20b/Cat%5B1%5D.jpg?v=1"),
    "imageproxy": Sample(target="/200x100/https://photos.example/a%20b/Cat.jpg"),
    "imagor": Sample(target=f"/fit-in/300x200/filters:quality(80)/{_URL}"),
    "imgix": Sample(),
    "imgproxy": Sample(target=f"/rs:fill:300:200/plain/{_URL}@webp"),
    "keycdn_access": _PATHS,
    "keycdn_image": Sample(target="/a%20b/Cat%5B1%5D.jpg?width=800&height=600"),
    "nginx_secure_link": Sample(
        target="/a%20b/Cat.jpg", options={"secure_link_md5": "$secure_link_expires$uri {secret}"}
    ),
    "nginx_secure_link_hmac": Sample(target="/a%20b/Cat.jpg"),
    "nginx_secure_link_secret": Sample(),
    "ogimage": Sample(),
    "pixel_fiddler": Sample(target="/a%20b/cat.jpg?w=800&h=600"),
    "retail_digitals": Sample(
        target="/i/0012345678905/front?w=800&h=600", extras={"client_id": "cl_7f3a"}, address="203.0.113.7"
    ),
    "s3_sigv4": Sample(),
    "thumbor": Sample(target="/fit-in/300x200/smart/filters:quality(80)/https://photos.example/a%20b/Cat.jpg"),
}


def sample_key(dialect: str) -> Key:
    """A key of the dialect's first algorithm."""
    algorithm = DIALECTS[dialect].capabilities.algorithms[0]
    salt = bytes(range(32)) if DIALECTS[dialect].capabilities.salted else b""
    if algorithm in MACS or algorithm in HASHES:
        return Key(
            id="k1", dialect=dialect, algorithm=algorithm, material=b"0123456789abcdefghijklmnopqrstuv", salt=salt
        )
    return pair_key("k1", dialect, algorithm)


def sample_realm(dialect: str) -> Realm:
    """A site that takes this dialect alone."""
    return realm_with(dialect, options={dialect: SAMPLES[dialect].options}, base_url=BASE_URL)


Change = Callable[[str], str]


def _appended(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}utm_source=mail&fbclid=x"


def _reversed_pairs(url: str) -> str:
    path, mark, query = url.partition("?")
    return path + mark + "&".join(query.split("&")[::-1])


def _in_path(url: str, now: str, then: str) -> str:
    path, mark, query = url.partition("?")
    return path.replace(now, then) + mark + query


def _lower_escapes(url: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), url)


def _at_the_end_of_the_path(url: str, text: str) -> str:
    path, mark, query = url.partition("?")
    return path + text + mark + query


MIDDLEBOXES: Mapping[str, tuple[str, Change]] = {
    "parameters of a mailing": ("extra-parameter", _appended),
    "a plus for a space": ("plus", lambda url: url.replace("%20", "+")),
    "a decoded bracket": ("escaping", lambda url: url.replace("%5B", "[").replace("%5D", "]")),
    "a decoded path": ("escaping", lambda url: unquote(url.partition("?")[0]) + "".join(url.partition("?")[1:])),
    "escapes that were escaped": ("escaping", lambda url: url.replace("%", "%25")),
    "escapes in small letters": ("escaping", _lower_escapes),
    "an escaped colon": ("escaping", lambda url: _in_path(url, ":", "%3A")),
    "an escaped comma": ("escaping", lambda url: _in_path(url, ",", "%2C")),
    "a collapsed slash": ("slash", lambda url: _in_path(url, "//", "/")),
    "a doubled slash": ("slash", lambda url: _in_path(url, "/a%20b", "//a%20b")),
    "a slash at the end": ("slash", lambda url: _at_the_end_of_the_path(url, "/")),
    "an extension in capitals": ("case", lambda url: _in_path(url, ".jpg", ".JPG")),
    "a lost extension": ("extension", lambda url: re.sub(r"\.jpg(?=\?|$)", "", url)),
    "an added extension": ("extension", lambda url: _at_the_end_of_the_path(url, ".webp")),
    "a reversed query": ("order", _reversed_pairs),
    "a query escaped as HTML": ("html-entities", lambda url: url.replace("&", "&amp;")),
}
"""What each does to a URL, and the change by which it is told."""


def changed(url: str) -> Iterator[tuple[str, str, str]]:
    """Each change that applies to this URL: what happened, the name by which it is to be told, the changed URL."""
    for happened, (change, apply) in MIDDLEBOXES.items():
        arrived = apply(url)
        if arrived != url:
            yield happened, change, arrived
