"""URLs that other people's libraries make are taken unchanged."""

from __future__ import annotations

from datetime import timedelta
from time import time
from typing import Any
from urllib.parse import urlsplit

import cloudinary.auth_token
import cloudinary.utils
import pytest
from imagekitio import ImageKit
from imgix import UrlBuilder
from libthumbor import CryptoURL

from countermark.core.grant import Claims
from countermark.imaging.operations import Operations
from countermark.imaging.syntax.table import SYNTAXES
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import Realm
from tests.signing.scene import LATER, NOW, check, realm_with

SECRET = "a-secret-of-the-test"


def opened(url: str, where: Realm, algorithm: Any, material: bytes = SECRET.encode(), now: float = NOW) -> Claims:
    split = urlsplit(url)
    key = Key(id="k", dialect=where.dialects[0], algorithm=algorithm, material=material)
    raw = f"{split.path}?{split.query}" if split.query else split.path
    return check(raw, where, keyring=Keyring([key]), now=now)


def meant(claims: Claims) -> Operations | None:
    return SYNTAXES[claims.syntax](claims.pairs)


def test_libthumbor() -> None:
    """Sizes, mirrors, places and filters."""
    url = CryptoURL(key=SECRET).generate(
        width=300, height=200, flip=True, halign="left", filters=["quality(70)", "format(webp)"], image_url="a/b.jpg"
    )
    claims = opened(url, realm_with("thumbor"), "hmac-sha1")
    assert claims.source == "a/b.jpg"
    assert meant(claims) == Operations(
        width=300, height=200, fit="cover", gravity="east", flip="h", quality=70, format="webp"
    )


@pytest.mark.parametrize("path", ["a/b c.jpg", "https://origin.test/café.jpg"])
def test_imgix(path: str) -> None:
    """With its library's name, for a path and for a web proxy source."""
    url = UrlBuilder("x.imgix.test", sign_key=SECRET).create_url(path, {"w": 300, "h": 200, "fit": "crop"})
    claims = opened(url, realm_with("imgix"), "md5")
    assert claims.source == (path if ":" in path else "")
    assert meant(claims) == Operations(width=300, height=200, fit="cover")


@pytest.mark.parametrize("options", [{}, {"version": 7}, {"type": "fetch"}])
def test_cloudinary(options: dict[str, Any]) -> None:
    """Long signatures, of uploads and of fetched pictures."""
    image = "https://origin.test/a.jpg" if options.get("type") else "folder/a.jpg"
    url, _ = cloudinary.utils.cloudinary_url(
        image,
        cloud_name="demo",
        api_secret=SECRET,
        sign_url=True,
        long_url_signature=True,
        width=300,
        height=200,
        crop="fill",
        gravity="auto",
        **options,
    )
    where = realm_with("cloudinary", prefix="/demo/", options={"cloudinary": {"types": ("upload", "fetch")}})
    claims = opened(url, where, "sha256")
    assert claims.source == image
    assert meant(claims) == Operations(width=300, height=200, fit="cover", gravity="attention")


@pytest.mark.parametrize("scope", [{"url": "/demo/image/upload/w_3/a.jpg"}, {"acl": ["/demo/image/*", "/x/*"]}])
def test_cloudinary_auth_token(scope: dict[str, Any]) -> None:
    """For one path, and for all that an ACL covers."""
    secret = bytes(range(32))
    token = cloudinary.auth_token.generate(start_time=NOW, expiration=LATER, key=secret.hex(), **scope)
    where = realm_with("cloudinary_auth_token", prefix="/demo/")
    claims = opened(f"/demo/image/upload/w_3/a.jpg?{token}", where, "hmac-sha256", secret)
    assert (claims.not_before, claims.expires, claims.source) == (NOW, LATER, "a.jpg")


@pytest.mark.parametrize("position", ["path", "query"])
def test_imagekit(position: Any) -> None:
    """With an expiry, operations in the path or in the query."""
    kit = ImageKit(private_key=SECRET)
    url = kit.helper.build_url(
        src="/folder/a b.jpg",
        url_endpoint="https://ik.imagekit.test/demo",
        transformation=[{"width": 300, "height": 200, "focus": "auto"}],
        transformation_position=position,
        signed=True,
        expires_in=timedelta(hours=1).total_seconds(),
    )
    claims = opened(url, realm_with("imagekit", prefix="/demo/"), "hmac-sha1", now=time())
    assert (claims.source, claims.expires is None) == ("folder/a%20b.jpg", False)
    assert meant(claims) == Operations(width=300, height=200, fit="cover", gravity="attention")
