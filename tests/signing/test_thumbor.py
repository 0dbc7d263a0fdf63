"""thumbor and imagor: the order of the parts, one spelling of a signature, sources."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.core.errors import (
    ConfigurationInvalid,
    Expired,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import mac
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import LATER, NOW, check, realm_with

THUMBOR = Key(id="t", dialect="thumbor", algorithm="hmac-sha1", material=b"thumbor-server-secret")
IMAGOR = Key(id="i", dialect="imagor", algorithm="hmac-sha256", material=b"imagor-server-secret")
RING = Keyring([THUMBOR, IMAGOR])
ORDER = MintOrder(now=NOW, expires=LATER)


def where(dialect: str = "thumbor", **options: Value) -> Realm:
    return realm_with(dialect, options={dialect: options}, sources=("https://my.server.com/",))


def signed(rest: str, key: Key = THUMBOR, length: int | None = None) -> str:
    return f"/{urlsafe_b64encode(mac(key, rest.encode())).decode()[:length]}/{rest}"


def test_parts_are_handed_on_in_their_order() -> None:
    """Each as a pair; a filter by its name and ()."""
    rest = "trim/10x20:30x40/fit-in/-300x200/left/top/smart/filters:quality(70):format(webp)/a/b.jpg"
    claims = check(signed(rest), where(), keyring=RING)
    assert claims.source == "a/b.jpg"
    assert [(pair.name, pair.value) for pair in claims.pairs] == [
        ("trim", "trim"), ("crop", "10x20:30x40"), ("fit", "fit-in"), ("size", "-300x200"), ("halign", "left"),
        ("valign", "top"), ("smart", "smart"), ("quality()", "70"), ("format()", "webp"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "rest", "source"),
    [
        ("thumbor", "smart/300x200/a.jpg", "300x200/a.jpg"),
        ("thumbor", "300x200/10x10/p.jpg", "10x10/p.jpg"),
        ("imagor", "300x200/10x10/p.jpg", "p.jpg"),
        ("thumbor", "stretch/300x200/p.jpg", "stretch/300x200/p.jpg"),
        ("imagor", "stretch/300x200/p.jpg", "p.jpg"),
        ("thumbor", "origx200/p.jpg", "p.jpg"),
        ("imagor", "origx200/p.jpg", "origx200/p.jpg"),
        ("imagor", "300x200/b64:cGhvdG8uanBn", "photo.jpg"),
        ("thumbor", "300x200/b64:cGhvdG8uanBn", "b64:cGhvdG8uanBn"),
        ("thumbor", "https://my.server.com/a%20b.jpg", "https://my.server.com/a%20b.jpg"),
        ("thumbor", "https%3A%2F%2Fmy.server.com%2Fa%2520b.jpg", "https://my.server.com/a%20b.jpg"),
        ("thumbor", "x/a.jpg", "a.jpg"),
    ],
)
def test_the_rest_is_the_image(dialect: str, rest: str, source: str) -> None:
    """The two servers differ in what they take for a part."""
    key = THUMBOR if dialect == "thumbor" else IMAGOR
    assert check(signed(rest, key), where(dialect), keyring=RING).source == source


def test_a_bare_image_is_what_the_site_says() -> None:
    """A path of the origin, or a URL that lacks its scheme."""
    assert check(signed("my.server.com/a.jpg"), where(), keyring=RING).source == "my.server.com/a.jpg"
    assert (
        check(signed("my.server.com/a.jpg"), where(bare="https"), keyring=RING).source == "https://my.server.com/a.jpg"
    )


@pytest.mark.parametrize("rest", ["smart/", "filters:quality(1)a.jpg", "filters:fill(a(b))/a.jpg", "filters:a()b()/x"])
def test_what_thumbor_would_guess_is_refused(rest: str) -> None:
    """No image, and filters that cannot be read."""
    with pytest.raises(ParameterInvalid):
        check(signed(rest), where(), keyring=RING)


def test_unsafe_is_no_signature() -> None:
    """Whatever the key."""
    with pytest.raises(SignatureMissing):
        check("/unsafe/a.jpg", where(), keyring=RING)


def test_a_query_is_refused() -> None:
    """Nothing signs it."""
    with pytest.raises(ParameterUnknown):
        check(signed("a.jpg") + "?x", where(), keyring=RING)


def test_a_signature_is_cut_only_where_the_site_says_so() -> None:
    """A SHA-1-sized text never stands for the beginning of a longer MAC."""
    cut = signed("a.jpg", IMAGOR, 28)
    with pytest.raises(SignatureInvalid):
        check(cut, where("imagor"), keyring=RING)
    assert check(cut, where("imagor", signature_length=28), keyring=RING).source == "a.jpg"
    with pytest.raises(SignatureInvalid):
        check(signed("a.jpg", IMAGOR), where("imagor", signature_length=28), keyring=RING)
    with pytest.raises(ConfigurationInvalid):
        check(cut, where("imagor", signature_length=17), keyring=RING)


def test_a_key_opens_only_its_own_server() -> None:
    """Bound to dialect and algorithm."""
    with pytest.raises(SignatureInvalid):
        check(signed("a.jpg", IMAGOR), where(), keyring=RING)
    odd = Keyring([replace(THUMBOR, algorithm="md5")])
    with pytest.raises(SignatureInvalid):
        check(signed("a.jpg"), where(), keyring=odd)


def test_imagor_urls_expire() -> None:
    """In milliseconds, as a filter, which is no operation."""
    claims = check(signed(f"filters:expire({LATER}000):quality(3)/a.jpg", IMAGOR), where("imagor"), keyring=RING)
    assert (claims.expires, [pair.name for pair in claims.pairs]) == (LATER, ["quality()"])
    with pytest.raises(Expired):
        check(signed(f"filters:expire({NOW - 1}000)/a.jpg", IMAGOR), where("imagor"), keyring=RING)
    with pytest.raises(ParameterInvalid):
        check(signed(f"filters:expire({LATER})/a.jpg", IMAGOR), where("imagor"), keyring=RING)


def test_minted_urls_are_read_back() -> None:
    """thumbor's without an end, imagor's with a filter that says it."""
    target = parse_target("/300x200/smart/filters:quality(70)/a.jpg")
    assert check(DIALECTS["thumbor"].mint(target, where(), THUMBOR, ORDER), where(), keyring=RING).expires is None
    claims = check(DIALECTS["imagor"].mint(target, where("imagor"), IMAGOR, ORDER), where("imagor"), keyring=RING)
    assert (claims.expires, claims.source, len(claims.pairs)) == (LATER, "a.jpg", 3)
    with pytest.raises(ParameterInvalid):
        DIALECTS["thumbor"].mint(parse_target("/a?w=1"), where(), THUMBOR, ORDER)


@pytest.mark.parametrize("key", [THUMBOR, IMAGOR])
@given(data=st.data())
def test_a_changed_url_opens_nothing_else(key: Key, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    opens_nothing_else(signed("30x20/smart/filters:quality(7)/a/17.jpg", key), where(key.dialect), RING, data)
