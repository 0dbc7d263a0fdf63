"""KeyCDN: the borders that its hash does not draw."""

from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace

from countermark.core.encoding import base64url
from countermark.core.errors import (
    CountermarkError,
    LifetimeExceeded,
    Malformed,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    TransformRefused,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Keyring
from countermark.signing.keycdn import IMAGE_PARAMETERS, mint_keycdn_access, mint_keycdn_image
from tests.signing.scene import ACCESS, CLIENT, IMAGE, LATER, NOW, check, realm


def token(text: str, key: bytes) -> str:
    return base64url(hashlib.md5(text.encode() + key, usedforsecurity=False).digest())


def image(path: str, query: str, hashed: str | None = None) -> str:
    return f"{path}?{query}&token={token(hashed or path + query, IMAGE.material)}"


def test_path_and_operations_are_handed_on() -> None:
    """Raw path, all pairs but the token, no expiry."""
    claims = check(image("/img/a%20b.jpg", "width=600&crop=smart"), realm("keycdn_image"))
    assert (claims.path, [pair.raw for pair in claims.pairs]) == ("/img/a%20b.jpg", ["width=600", "crop=smart"])
    assert (claims.syntax, claims.expires, claims.key_id) == ("keycdn", None, "image-zone")


@pytest.mark.parametrize(
    ("path", "query", "hashed"),
    [
        ("/img/photo.jpg", ".thumb.jpgwidth=100", "/img/photo.jpg.thumb.jpgwidth=100"),
        ("/a.jpgwidth=1&", "height=2", "/a.jpgwidth=1&height=2"),
        ("/aol", "width=5", "/aolwidth=5"),
        ("/img/", "width=100", "/img/width=100"),
        ("/a.jpg", "w%69dth=100", "/a.jpgw%69dth=100"),
        ("/a.jpg", "flip", "/a.jpgflip"),
    ],
)
def test_another_split_of_the_hashed_text_is_refused(path: str, query: str, hashed: str) -> None:
    """The token is right for each of these; only the border between path and query has moved."""
    with pytest.raises((Malformed, TransformRefused)):
        check(image(path, query, hashed), realm("keycdn_image"))


def test_every_url_has_one_split() -> None:
    """Of all ways to cut a signed text into path and query, one is accepted."""
    for path in ("/a", "/a.jpg", "/near", "/x/ol", "/al/pha"):
        for name in sorted(IMAGE_PARAMETERS):
            text = f"{path}{name}=1&height=2"
            accepted = [cut for cut in range(2, len(text)) if _opens(text[:cut], text[cut:], text)]
            assert len(accepted) <= 1


def _opens(path: str, query: str, hashed: str) -> bool:
    try:
        check(image(path, query, hashed), realm("keycdn_image"))
    except CountermarkError:
        return False
    return True


def test_the_bare_original_is_refused() -> None:
    """A token over the path alone would show the picture without its watermark."""
    with pytest.raises(TransformRefused):
        check(f"/a.jpg?token={token('/a.jpg', IMAGE.material)}", realm("keycdn_image"))


def test_the_token_stands_last() -> None:
    """What is hashed is all that stands before it."""
    signed = token("/a.jpgwidth=1", IMAGE.material)
    with pytest.raises(ParameterInvalid):
        check(f"/a.jpg?token={signed}&width=1", realm("keycdn_image"))


@pytest.mark.parametrize("bad", ["", "AAAA", "A" * 22 + "==", "A" * 21 + "B", "!" * 22, "A" * 43])
def test_a_token_has_one_spelling(bad: str) -> None:
    """22 characters, canonical."""
    with pytest.raises(SignatureInvalid):
        check(f"/a.jpg?width=1&token={bad}", realm("keycdn_image"))


def test_access_control_hands_on_the_path_alone() -> None:
    """Nothing but the path is hashed, so nothing else is obeyed."""
    target = mint_keycdn_access(parse_target("/a.jpg"), key=ACCESS, expires=LATER)
    claims = check(target, realm("keycdn_access"))
    assert (claims.path, claims.pairs, claims.expires, claims.address) == ("/a.jpg", (), LATER, None)
    with pytest.raises(ParameterUnknown):
        check(target + "&width=1", realm("keycdn_access"))


@pytest.mark.parametrize("expire", ["", "170000360", "17000036000", "0700003600", "+700003600", "1700003600.0"])
def test_an_expiry_has_ten_digits(expire: str) -> None:
    """A shifted or oddly written expiry is refused before it is hashed."""
    signed = token("/a.jpg", ACCESS.material + expire.encode())
    with pytest.raises(ParameterInvalid):
        check(f"/a.jpg?token={signed}&expire={expire}", realm("keycdn_access"))


def test_an_escaped_expiry_is_refused() -> None:
    """The pair is not hashed as it stands, so it gets one spelling."""
    target = mint_keycdn_access(parse_target("/a.jpg"), key=ACCESS, expires=LATER)
    with pytest.raises(ParameterInvalid):
        check(target.replace("expire=1", "expire=%31"), realm("keycdn_access"))
    with pytest.raises(ParameterInvalid):
        check(target.replace("expire=", "%65xpire="), realm("keycdn_access"))


def test_life_is_bounded_here_too() -> None:
    """A token that the vendor would honour for years ends with the key's own bound."""
    target = mint_keycdn_access(parse_target("/a.jpg"), key=ACCESS, expires=NOW + ACCESS.max_life + 1)
    with pytest.raises(LifetimeExceeded):
        check(target, realm("keycdn_access"))


@pytest.mark.parametrize("client", [CLIENT, "2001:db8::7"])
def test_an_address_is_part_of_the_hash(client: str) -> None:
    """Where the site says so, the token opens for one address and says so in its claims."""
    where = realm("keycdn_access", keycdn_ip=True)
    hashed = b"/a.jpg" + ACCESS.material + f"{LATER}{client}".encode()
    signed = base64url(hashlib.md5(hashed, usedforsecurity=False).digest())
    target = f"/a.jpg?token={signed}&expire={LATER}"
    claims = check(target, where, client=client)
    assert str(claims.address).startswith(client)
    with pytest.raises(SignatureInvalid):
        check(target, where, client="198.51.100.1")
    with pytest.raises(SignatureInvalid):
        check(target, realm("keycdn_access"), client=client)


def test_a_key_of_another_algorithm_hashes_nothing() -> None:
    """An HMAC secret is never glued into an MD5."""
    keyring = Keyring([replace(IMAGE, algorithm="hmac-sha256")])
    with pytest.raises(SignatureInvalid):
        check(mint_keycdn_image(parse_target("/a.jpg?width=1"), key=IMAGE), realm("keycdn_image"), keyring=keyring)
