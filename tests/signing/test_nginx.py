"""nginx's links: templates, their borders, and what nobody signed."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64url
from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    Expired,
    LifetimeExceeded,
    Malformed,
    NotYetValid,
    ParameterInvalid,
    ParameterUnknown,
    SignatureInvalid,
    SignatureMissing,
    TargetMalformed,
)
from countermark.core.grant import Claims
from countermark.core.target import parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.settings.option import Value
from countermark.signing.dialect import MintOrder, Realm
from countermark.signing.primitives import sign
from countermark.signing.table import DIALECTS
from tests.signing.mutations import opens_nothing_else
from tests.signing.scene import CLIENT, LATER, NOW, check, realm_with

MD5, HMAC, SECRET = "nginx_secure_link", "nginx_secure_link_hmac", "nginx_secure_link_secret"
KEYS = {
    MD5: Key(id="md5", dialect=MD5, algorithm="md5", material=b"md5 location"),
    HMAC: Key(id="hmac", dialect=HMAC, algorithm="hmac-sha256", material=b"hmac location"),
    SECRET: Key(id="secret", dialect=SECRET, algorithm="md5", material=b"secret location"),
}
KEYRING = Keyring(KEYS.values())
PLAIN: dict[str, Value] = {"secure_link_md5": "$secure_link_expires$uri {secret}"}
GLUED: dict[str, Value] = {"secure_link_md5": "{secret}$uri$arg_expires"}


def where(dialect: str, **options: Value) -> Realm:
    return realm_with(dialect, options={dialect: options})


def mint(dialect: str, target: str, *, address: str = "", expires: int = LATER, **options: Value) -> str:
    order = MintOrder(now=NOW, expires=expires, address=ip_address(address) if address else None)
    return DIALECTS[dialect].mint(parse_target(target), where(dialect, **options), KEYS[dialect], order)


def opened(dialect: str, url: str, *, client: str = CLIENT, now: float = NOW, **options: Value) -> Claims:
    return check(url, where(dialect, **options), keyring=KEYRING, client=client, now=now)


def hashed(before: str, after: str) -> str:
    text = before.encode() + KEYS[MD5].material + after.encode()
    return base64url(hashlib.md5(text, usedforsecurity=False).digest())


FORMS: dict[str, tuple[str, str, str, dict[str, Value]]] = {
    "documentation": (MD5, "/s/link", CLIENT, {}),
    "unbound": (MD5, "/img/17/a1.jpg", "", PLAIN),
    "glued": (MD5, "/img/17/a1.jpg", "", GLUED),
    "cdnsun": (
        MD5,
        "/img/17/a1.jpg",
        CLIENT,
        {
            "secure_link": "$arg_secure,$arg_expires",
            "secure_link_md5": "$secure_link_expires$uri{secret}$remote_addr",
        },
    ),
    "operations": (
        MD5,
        "/img/17/a1.jpg?w=17&h=21",
        "",
        {"secure_link": "$arg_s", "secure_link_md5": "$secure_link_expires|$arg_w|$arg_h|$uri|{secret}"},
    ),
    "hmac": (HMAC, "/img/17/a1.jpg", "", {}),
    "hmac-bound": (
        HMAC,
        "/img/17/a1.jpg?w=17",
        CLIENT,
        {"secure_link_hmac_message": "$arg_w|$uri|$arg_ts|$arg_e|$remote_addr"},
    ),
    "secret": (SECRET, "/img/17/a1.jpg?w=17", "", {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_minted_link_is_read_back(form: str) -> None:
    """Path, operations and expiry, for its client only and until its end."""
    dialect, target, address, options = FORMS[form]
    url = mint(dialect, target, address=address, **options)
    claims = opened(dialect, url, **options)
    path, _, query = target.partition("?")
    assert (claims.path, "&".join(pair.raw for pair in claims.pairs)) == (path, query)
    assert claims.expires == (None if dialect == SECRET else LATER)
    if address:
        with pytest.raises((SignatureInvalid, AddressMismatch)):
            opened(dialect, url, client="203.0.113.8", **options)
    if claims.expires:
        with pytest.raises(Expired):
            opened(dialect, url, now=LATER + 1, **options)


@pytest.mark.parametrize("options", [GLUED, {"secure_link_md5": "{secret}$uri$secure_link_expires"}])
def test_a_digit_does_not_move_from_the_path_to_the_expiry(options: dict[str, Value]) -> None:
    """nginx takes both of the others with such a template."""
    token = hashed("", f"/img/17{LATER}")
    assert opened(MD5, f"/img/17?md5={token}&expires={LATER}", **options).path == "/img/17"
    for path, expires in (("/img/1", f"7{LATER}"), ("/img/171", str(LATER)[1:])):
        with pytest.raises(ParameterInvalid):
            opened(MD5, f"{path}?md5={token}&expires={expires}", **options)


def test_digits_do_not_move_between_path_and_address() -> None:
    """The template of nginx's documentation: /s/x for 127.0.0.1 and /s/x1 for 27.0.0.1 are one text."""
    token = hashed(f"{LATER}/s/x127.0.0.1 ", "")
    assert opened(MD5, f"/s/x?md5={token}&expires={LATER}", client="127.0.0.1").path == "/s/x"
    with pytest.raises(ParameterInvalid):
        opened(MD5, f"/s/x1?md5={token}&expires={LATER}", client="27.0.0.1")


@pytest.mark.parametrize("padding", ["%80%00", "%80", "%00", "%C2%80%00"])
def test_a_hash_is_not_extended(padding: str) -> None:
    """With the secret first, whoever has a token could hash on behind the padding, which no URL can say."""
    token = hashed("", f"/a.jpg{LATER}")
    for climb in ("/b.jpg", "/../b.jpg"):
        with pytest.raises(TargetMalformed):
            opened(MD5, f"/a.jpg{LATER}{padding}{climb}?md5={token}&expires={LATER}", **GLUED)


@pytest.mark.parametrize("query", ["w=100", "utm_source=mail", "W=1"])
def test_a_parameter_outside_of_the_template_is_refused(query: str) -> None:
    """It would be anybody's choice."""
    with pytest.raises(ParameterUnknown):
        opened(MD5, f"{mint(MD5, '/a.jpg', **PLAIN)}&{query}", **PLAIN)


def test_a_separator_is_in_no_value_before_it() -> None:
    """w=1|2 with h=3 and w=1 with h=2|3 are one text."""
    options: dict[str, Value] = {"secure_link_md5": "$secure_link_expires|$arg_w|$arg_h|$uri {secret}"}
    token = hashed(f"{LATER}|1|2|3|/a.jpg ", "")
    for query in ("w=1|2&h=3", "w=1&h=2|3"):
        with pytest.raises(ParameterInvalid):
            opened(MD5, f"/a.jpg?{query}&md5={token}&expires={LATER}", **options)


def test_an_absent_argument_is_no_empty_one() -> None:
    """They have one hash."""
    options: dict[str, Value] = {"secure_link_md5": "$secure_link_expires|$arg_w|$uri {secret}"}
    url = mint(MD5, "/a.jpg", **options)
    assert opened(MD5, url, **options).pairs == ()
    for pair in ("w=", "w"):
        with pytest.raises(ParameterInvalid):
            opened(MD5, f"{url}&{pair}", **options)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("secure_link_md5", "$uri"),
        ("secure_link_md5", "{secret}"),
        ("secure_link_md5", "$secure_link_expires {secret}"),
        ("secure_link_md5", "$uri$arg_a$arg_b {secret}"),
        ("secure_link_md5", "$uri$request_uri{secret}"),
        ("secure_link_md5", "$uri$cookie_a {secret}"),
        ("secure_link_md5", "${uri} {secret}"),
        ("secure_link_md5", "$uri$secure_link_expires$remote_addr$host {secret}"),
        ("secure_link_md5", "$uri\n{secret}"),
        ("secure_link", "md5"),
        ("secure_link", "$arg_md5,$arg_expires,$arg_x"),
        ("secure_link", "$uri"),
        ("secure_link_hmac_message", "$uri|{secret}"),
        ("secure_link_hmac_message", "$uri$arg_ts$arg_e"),
        ("secure_link_hmac", "$arg_a,$arg_b,$arg_c,$arg_d"),
    ],
)
def test_a_template_that_cannot_be_kept_apart_is_refused_with_the_settings(name: str, written: str) -> None:
    """Or without the path or the secret, or with another variable."""
    options = {option.name: option for dialect in (MD5, HMAC) for option in DIALECTS[dialect].options}
    with pytest.raises(ValueError, match=r"template|comma"):
        options[name].read(written)


@pytest.mark.parametrize("form", FORMS)
def test_good_templates_are_taken_with_the_settings(form: str) -> None:
    """Those of this page."""
    dialect, _, _, options = FORMS[form]
    declared = {option.name: option for option in DIALECTS[dialect].options}
    assert [declared[name].read(str(value)) for name, value in options.items()] == list(options.values())


def test_an_expiry_that_is_not_signed_is_refused() -> None:
    """Anybody could write another one."""
    token = hashed("/a.jpg ", "")
    with pytest.raises(SignatureInvalid):
        opened(MD5, f"/a.jpg?md5={token}&expires={LATER}", secure_link_md5="$uri {secret}")
    message = base64url(sign(KEYS[HMAC], b"/a.jpg"))
    with pytest.raises(SignatureInvalid):
        opened(HMAC, f"/a.jpg?st={message}&ts={NOW}&e=60", secure_link_hmac_message="$uri")


def test_a_link_without_an_end_needs_an_unsafe_option() -> None:
    """Of one field, or with a lifetime of 0."""
    options: dict[str, Value] = {"secure_link": "$arg_md5", "secure_link_md5": "$uri {secret}"}
    url = f"/a.jpg?md5={hashed('/a.jpg ', '')}"
    zero = f"/a.jpg?st={base64url(sign(KEYS[HMAC], f'/a.jpg|{NOW}|0'.encode()))}&ts={NOW}&e=0"
    with pytest.raises(LifetimeExceeded):
        opened(MD5, url, unsafe_unlimited=False, **options)
    with pytest.raises(LifetimeExceeded):
        opened(HMAC, zero, unsafe_unlimited=False)
    assert opened(MD5, url, unsafe_unlimited=True, **options).expires is None
    assert opened(HMAC, zero, unsafe_unlimited=True).expires is None


@pytest.mark.parametrize("spelling", ["/%61.jpg", "/a%2ejpg", "/a%2Ejpg", "/%C3%A9%2ejpg"])
def test_a_decoded_path_has_one_spelling(spelling: str) -> None:
    """$uri is decoded, so each has the same hash; with the unsafe option they are the same picture."""
    plain = "/é.jpg" if "C3" in spelling else "/a.jpg"
    url = f"{spelling}?md5={hashed(f'{LATER}{plain} ', '')}&expires={LATER}"
    with pytest.raises(ParameterInvalid):
        opened(MD5, url, **PLAIN)
    assert opened(MD5, url, unsafe_spellings=True, **PLAIN).path == plain.replace("é", "%C3%A9")


def test_a_link_may_stand_in_headers() -> None:
    """Then $request_uri can be signed, and the URL alone opens nothing."""
    options: dict[str, Value] = {
        "secure_link": "$http_x_md5,$http_x_expires",
        "secure_link_md5": "$secure_link_expires$request_uri {secret}",
    }
    realm = where(MD5, **options)
    headers = {"x-md5": hashed(f"{LATER}/a.jpg?w=1 ", ""), "x-expires": str(LATER)}
    assert check("/a.jpg?w=1", realm, keyring=KEYRING, headers=headers).from_headers
    with pytest.raises(SignatureMissing):
        check("/a.jpg?w=1", realm, keyring=KEYRING)
    for target, changed in (
        ("/a.jpg?w=2", headers),
        ("/a.jpg?w=1", {**headers, "x-expires": str(LATER + 1)}),
        ("/a.jpg?w=1", {**headers, "x-md5": "é\udce9"}),
    ):
        with pytest.raises((SignatureInvalid, Malformed)):
            check(target, realm, keyring=KEYRING, headers=changed)
    with pytest.raises(ParameterInvalid):
        mint(MD5, "/a.jpg", **options)


@pytest.mark.parametrize(
    ("time", "taken"),
    [
        ("1700000000", True),
        ("2023-11-14T22%3A13%3A20Z", True),
        ("2023-11-15T00%3A13%3A20%2B02%3A00", True),
        ("Tue%2C%2014%20Nov%202023%2022%3A13%3A20%20GMT", True),
        ("Wed%2C%2014%20Nov%202023%2022%3A13%3A20%20GMT", False),
        ("2023-11-15T00%3A13%3A20+02%3A00", False),
        ("2023-11-14T22%3A13%3A20", False),
        ("2023-13-14T22%3A13%3A20Z", False),
        ("20231114T221320Z", False),
        ("%D9%A1700000000", False),
        ("x%20GMT", False),
    ],
)
def test_times_are_read_as_the_module_reads_them(time: str, taken: bool) -> None:
    """And in no other way; a plus is %2B."""
    text = parse_target(f"/?t={time}").pairs[0].value
    url = f"/a.jpg?st={base64url(sign(KEYS[HMAC], f'/a.jpg|{text}|60'.encode()))}&ts={time}&e=60"
    if taken:
        assert opened(HMAC, url).expires == NOW + 60
    else:
        with pytest.raises(ParameterInvalid):
            opened(HMAC, url)


def test_a_time_of_issue_in_the_future_is_refused() -> None:
    """The module does not look."""
    url = f"/a.jpg?st={base64url(sign(KEYS[HMAC], f'/a.jpg|{NOW + 600}|60'.encode()))}&ts={NOW + 600}&e=60"
    with pytest.raises(NotYetValid):
        opened(HMAC, url)


def test_the_same_picture_keeps_its_url_for_a_while() -> None:
    """A token of the module holds its time of issue, which is counted back from the expiry."""
    urls = {
        DIALECTS[HMAC].mint(
            parse_target("/a.jpg"), where(HMAC), KEYS[HMAC], MintOrder(now=NOW + second, expires=NOW + 3600)
        )
        for second in (0, 1, 600, 3000)
    }
    assert len(urls) == 1
    assert opened(HMAC, urls.pop()).expires == NOW + 3600


def test_a_hash_has_one_spelling() -> None:
    """No padding, no escapes, no capitals."""
    for dialect, options in ((MD5, PLAIN), (HMAC, {})):
        url = mint(dialect, "/a.jpg", **options)
        name = "md5" if dialect == MD5 else "st"
        start = url.index(f"{name}=") + len(name) + 1
        end = url.index("&", start)
        token = url[start:end]
        for other in (token + "=", token + "==", f"%{ord(token[0]):02X}{token[1:]}", token[:-1], token + "A"):
            with pytest.raises((SignatureInvalid, ParameterInvalid)):
                opened(dialect, url[:start] + other + url[end:], **options)
    secret = mint(SECRET, "/a.jpg")
    with pytest.raises(SignatureInvalid):
        opened(SECRET, secret[:3] + secret[3:35].upper() + secret[35:])


def test_the_secret_mode_knows_one_first_segment() -> None:
    """It is not hashed; the picture does not depend on it."""
    url = mint(SECRET, "/a.jpg?w=1")
    assert opened(SECRET, url).source == "a.jpg"
    with pytest.raises(SignatureMissing):
        opened(SECRET, "/q" + url[2:])
    assert opened(SECRET, mint(SECRET, "/a.jpg", prefix="s"), prefix="s").path == "/a.jpg"
    for broken in ("/p/", "/p/x/a.jpg", f"/p/{'0' * 32}/?w=1"):
        with pytest.raises(CountermarkError):
            opened(SECRET, broken)


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_a_changed_link_opens_nothing_else(form: str, data: st.DataObject) -> None:
    """One to three changes: refused, or the very same resource, operations, time and caller."""
    dialect, target, address, options = FORMS[form]
    url = mint(dialect, target, address=address, **options)
    opens_nothing_else(url, where(dialect, **options), KEYRING, data)
