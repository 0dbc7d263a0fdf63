"""`sign`, `verify`, `explain` and `keys` as people and scripts use them."""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from countermark.signing.table import KEY_USES
from tests.cli.house import ACCEPTED, SETTINGS, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    for key_id, dialect in (("k1", "native"), ("z1", "keycdn_image"), ("z2", "keycdn_access")):
        made.add_key("--id", key_id, "--dialect", dialect)
    return made


def test_a_signed_url_verifies(house: House) -> None:
    """With its scheme and host, as printed."""
    url = house.signed("https://img.example.com/shop/cat.jpg?w=800")
    assert url.startswith("https://img.example.com/shop/cat.jpg?")
    verified = house.run("verify", url)
    assert (verified.exit_code, verified.stdout[:28]) == (0, "good: site shop, dialect nat")


def test_a_changed_url_exits_one_and_is_explained(house: House) -> None:
    """Scripts see the exit code, people the reason."""
    url = house.signed("/shop/cat.jpg?w=800") + "&utm_source=mail"
    assert house.run("verify", url).exit_code == 1
    told = house.run("explain", url)
    assert told.exit_code == 1
    assert "first failed check: signature" in told.stdout
    assert "this explains it: extra-parameter: utm_source=mail came in on the way" in told.stdout
    assert house.signed("/shop/cat.jpg?w=800").rpartition("sig=")[2] not in told.stdout.replace(url, "")


def test_json_is_for_machines(house: House) -> None:
    """All three print one JSON value with --json."""
    made = json.loads(house.signed("--json", "/shop/cat.jpg?w=800"))
    assert (made["site"], made["dialect"], made["key"]) == ("shop", "native", "k1")
    verified = json.loads(house.run("verify", "--json", made["url"]).stdout)
    assert (verified["good"], verified["key_id"]) == (True, "k1")
    told = json.loads(house.run("explain", "--json", made["url"]).stdout)
    assert told["parts"][0] == {"name": "version", "text": "countermark-v1"}


def test_an_exact_expiry_is_exact(house: House) -> None:
    """Without --exact the URL stays the same for a quarter of its life."""
    exact = json.loads(house.signed("--json", "--exact", "--expires-in", "2h", "/shop/cat.jpg"))
    rounded = json.loads(house.signed("--json", "--expires-in", "2h", "/shop/cat.jpg"))
    assert rounded["expires"] % 1800 == 0
    assert 0 <= exact["expires"] - rounded["expires"] <= 1860


def test_both_keycdn_modes_are_signed(house: House) -> None:
    """The key decides the dialect; the address is asked for where the site binds it."""
    image = house.signed("--key", "z1", "https://img.example.com/shop/cat.jpg?width=5")
    assert house.run("verify", image).exit_code == 0
    access = house.signed("--ip", "203.0.113.7", "https://cdn.example.com/cat.jpg")
    assert house.run("verify", "--ip", "203.0.113.7", access).exit_code == 0
    assert house.run("verify", "--ip", "203.0.113.8", access).exit_code == 1
    assert house.run("sign", "https://cdn.example.com/cat.jpg").exit_code == 1


def test_the_dialect_is_chosen_among_those_of_the_site(house: House) -> None:
    """For signing it picks the key; for the other two it is the only one that is read."""
    url = house.signed("--dialect", "keycdn_image", "https://img.example.com/shop/cat.jpg?width=5")
    assert "?width=5&token=" in url
    for name in ("verify", "explain"):
        assert house.run(name, "--dialect", "keycdn_image", url).exit_code == 0
        assert house.run(name, "--dialect", "native", url).exit_code == 1
        assert house.run(name, url).exit_code == 0
    refused = house.run("sign", "--dialect", "keycdn_access", "https://img.example.com/shop/cat.jpg")
    assert refused.exit_code == 2
    assert "it accepts native, keycdn_image" in refused.output


def test_a_url_is_bound_to_a_network_and_to_a_beginning(house: House) -> None:
    """It is signed though it does not count yet."""
    url = house.signed("--ip", "203.0.113.0/24", "--starts-in", "10m", "/shop/cat.jpg")
    assert "ip=203.0.113.0%2F24" in url
    verified = json.loads(house.run("verify", "--json", "--ip", "203.0.113.9", url).stdout)
    assert verified["reason"] == "not_yet_valid"
    now = house.signed("--ip", "203.0.113.0/24", "/shop/cat.jpg")
    assert house.run("verify", "--ip", "203.0.113.9", now).exit_code == 0
    assert house.run("verify", "--ip", "203.0.114.9", now).exit_code == 1


@pytest.mark.parametrize("dialect", sorted(KEY_USES))
def test_a_new_key_of_every_dialect_is_a_key(house: House, dialect: str) -> None:
    """What is printed can be appended to the keyring as it is."""
    house.add_key("--id", "fresh", "--dialect", dialect)
    listed = json.loads(house.run("keys", "list", "--json").stdout)
    assert ("fresh", dialect) in [(row["id"], row["dialect"]) for row in listed]


def test_an_ed25519_key_signs(house: House) -> None:
    """Chosen by its id."""
    house.add_key("--id", "ed", "--algorithm", "ed25519", "--site", "shop")
    url = house.signed("--key", "ed", "/shop/cat.jpg")
    assert len(url.rpartition("sig=")[2]) == 86
    assert house.run("verify", url).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sign", "/nowhere/cat.jpg", "--site", "attic"), 2),
        (("sign", "/nowhere/cat.jpg", "--site", "shop"), 2),
        (("sign", "https://other.example/cat.jpg"), 2),
        (("sign", "/shop/cat.jpg", "--expires-in", "soon"), 2),
        (("sign", "/shop/cat.jpg", "--expires-in", "10d"), 1),
        (("sign", "/shop/cat.jpg", "--key", "k9"), 1),
        (("sign", "/shop/a//cat.jpg"), 1),
        (("sign", "/shop/cat.jpg?exp=1"), 1),
        (("sign", "--key", "z1", "/shop/cat.jpg?wdith=5"), 1),
        (("sign", "/shop/cat.jpg", "--starts-in", "2h"), 1),
        (("sign", "/shop/cat.jpg?width=5", "--dialect", "keycdn_image", "--starts-in", "1m"), 1),
        (("sign", "https://cdn.example.com/cat.jpg", "--ip", "203.0.113.0/24"), 1),
        (("sign", "/shop/cat.jpg", "--ip", "203.0.113.7/24"), 2),
        (("sign", "/shop/cat.jpg", "--dialect", "telegraph"), 2),
        (("sign", "/shop/cat.jpg", "--dialect", "keycdn_image", "--key", "k1"), 1),
        (("verify", "/shop/cat.jpg", "--dialect", "telegraph"), 2),
        (("explain", "/shop/cat.jpg", "--dialect", "telegraph"), 2),
        (("sign",), 2),
        (("verify", "/shop/cat.jpg"), 1),
        (("verify", "/shop/cat.jpg", "--ip", "300.0.0.1"), 2),
        (("explain", "/shop/cat.jpg#top"), 1),
        (("keys", "new", "--id", "no spaces"), 2),
        (("keys", "new", "--algorithm", "md5"), 2),
    ],
)
def test_exit_codes_tell_refusal_from_wrong_usage(house: House, arguments: tuple[str, ...], code: int) -> None:
    """1 for what is refused, 2 for what was typed wrongly; always with a sentence."""
    result = house.run(*arguments)
    assert result.exit_code == code
    assert len(result.output) > 10
    assert "Traceback" not in result.output


def test_keys_are_listed_without_their_secrets(house: House) -> None:
    """Ids, states and fingerprints."""
    listed = house.run("keys", "list")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["k1", "z1", "z2"]
    rows = json.loads(house.run("keys", "list", "--json").stdout)
    assert len({row["fingerprint"] for row in rows}) == 3
    secrets = [line.split(": ")[1].strip('"') for line in house.keyring.read_text().splitlines() if "secret:" in line]
    assert len(secrets) == 3
    assert not any(secret in listed.output + str(rows) for secret in secrets)


def test_a_broken_keyring_lists_its_faults(house: House) -> None:
    """With file, line and column, and exit code 1."""
    house.keyring.write_text("- id: k1\n  colour: red\n", encoding="utf-8")
    result = house.run("keys", "list")
    assert result.exit_code == 1
    assert "keys.yaml:2:3:" in result.output
    assert "k1.secret" in result.output


def test_missing_files_are_named(house: House) -> None:
    """The settings or the keyring."""
    house.keyring.unlink()
    result = house.run("sign", "/shop/cat.jpg")
    assert (result.exit_code, "keys.yaml: cannot be read" in result.output) == (1, True)
    house.config.unlink()
    result = house.run("verify", "/shop/cat.jpg")
    assert (result.exit_code, "countermark.yaml: cannot be read" in result.output) == (1, True)


@pytest.mark.parametrize(
    "arguments", [("sign",), ("verify",), ("explain",), ("keys", "new"), ("keys", "list")], ids=" ".join
)
def test_help_shows_an_example(house: House, arguments: tuple[str, ...]) -> None:
    """Each command says how it is used."""
    shown = house.run(*arguments, "--help")
    assert shown.exit_code == 0
    assert "Example:" in shown.stdout
    assert f"countermark {' '.join(arguments)}" in shown.stdout


def test_credentials_in_header_fields_are_given_by_name(house: House) -> None:
    """`--header` for verify and explain; without it the request is not signed, and a field needs its colon."""
    with house.config.open("a", encoding="utf-8") as file:
        file.write(
            "  - name: tokens\n    origin: photos\n    match: { host: tokens.example.com }\n"
            "    accept: [akamai_edgeauth]\n    dialects: { akamai_edgeauth: { carrier: header } }\n"
        )
    with house.keyring.open("a", encoding="utf-8") as file:
        file.write(f"- {{ id: a1, dialect: akamai_edgeauth, hex_secret: '{'ab' * 32}' }}\n")
    expires = int(time.time()) + 600
    mac = hmac.digest(b"\xab" * 32, f"exp={expires}~url=/cat.jpg".encode(), "sha256").hex()
    url, field = "https://Tokens.example.com:8443/cat.jpg", f"__token__: exp={expires}~hmac={mac}"
    for name in ("verify", "explain"):
        assert house.run(name, url, "--header", field).stdout.startswith("good: site tokens, dialect akamai_edgeauth")
        assert house.run(name, url).stdout.startswith("refused: signature_missing")
        assert house.run(name, url, "--header", field, "--header", field).exit_code == 1
        assert house.run(name, url, "--header", "nonsense").exit_code == 2


@pytest.mark.parametrize(
    ("dialect", "algorithm", "extra"),
    [
        ("cloudfront", "ecdsa-p256", ("--with", "resource", "https://cdn.net/a/*")),
        ("gcp_media_cdn", "ed25519", ("--with", "prefix", "/a/")),
        ("gcp_media_cdn_token", "hmac-sha256", ("--with", "globs", "/a/*")),
        ("akamai_edgeauth", "hmac-sha256", ("--with", "acl", "/a/*")),
        ("s3_sigv4", "hmac-sha256", ()),
        ("azure_blob_sas", "hmac-sha256", ("--ip", "203.0.113.7")),
    ],
)
def test_vendors_urls_are_signed_and_verified(
    house: House, dialect: str, algorithm: str, extra: tuple[str, ...]
) -> None:
    """By a key that the house made, with the vendor's own words."""
    options = "dialects: { azure_blob_sas: { account: pictures } }" if dialect == "azure_blob_sas" else ""
    with house.config.open("a", encoding="utf-8") as file:
        file.write(
            "  - name: theirs\n    origin: photos\n    match: { host: cdn.net }\n"
            f"    base_url: https://cdn.net\n    accept: [{dialect}]\n    {options}\n"
        )
    house.add_key("--id", "v1", "--dialect", dialect, "--algorithm", algorithm)
    for more in ((), extra):
        url = house.signed("--key", "v1", "https://cdn.net/a/cat.jpg", *more)
        found = house.run("verify", url, "--ip", "203.0.113.7")
        assert found.stdout.startswith(f"good: site theirs, dialect {dialect}, key v1"), found.output


def test_a_private_key_of_pixel_fiddler_is_shown_once(house: House) -> None:
    """The entry has the public half; with the private one pasted in, the command signs."""
    made = house.run("keys", "new", "--dialect", "pixel_fiddler", "--id", "space")
    assert "private" not in made.stdout
    shown = made.stderr.splitlines()[-1]
    key = load_der_private_key(b64decode(shown, validate=True), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) in [
        b64decode(line.removeprefix("  public: ")) for line in made.stdout.splitlines() if "public:" in line
    ]
    house.keyring.write_text(f"{made.stdout}  private: {shown}\n", encoding="utf-8")
    house.config.write_text(SETTINGS.replace(ACCEPTED, "[pixel_fiddler]"), encoding="utf-8")
    url = house.signed("https://img.example.com/shop/cat.jpg?w=800")
    assert house.run("verify", url).exit_code == 0
    told = house.run("explain", url + "&utm_source=mail")
    assert url.rpartition("signature=")[2] not in told.stdout.replace(url, "")


@pytest.mark.parametrize("flow", [False, True])
def test_a_replaced_key_opens_nothing_any_more(house: House, flow: bool) -> None:
    """The new one has its place in the file, its dialect, sites and life; what else stands there stays."""
    entry = house.run("keys", "new", "--dialect", "pixel_fiddler", "--id", "old", "--site", "shop").stdout
    if flow:
        entry = f"- {{ {', '.join(line.strip(' -') for line in entry.splitlines())} }}\n"
    others = house.keyring.read_text(encoding="utf-8")
    house.keyring.write_text(f"# first\n{entry}# then the others\n{others}", encoding="utf-8")
    house.keyring.chmod(0o600)
    made = json.loads(house.run("keys", "new", "--replace", "old", "--id", "next", "--json").stdout)
    assert b64decode(made["private"], validate=True)
    text = house.keyring.read_text(encoding="utf-8")
    assert text == f"# first\n{made['entry']}# then the others\n{others}"
    assert "sites: [shop]" in made["entry"]
    assert house.keyring.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in house.keyring.parent.iterdir() if path.name.startswith(".")] == []
    assert entry.partition("public: ")[2].split()[0].rstrip(",") not in text


@pytest.mark.parametrize(("arguments", "code"), [(("--replace", "nobody"), 1), (("--replace", "k1", "--id", "z1"), 1)])
def test_a_key_that_cannot_be_replaced_changes_nothing(house: House, arguments: tuple[str, ...], code: int) -> None:
    """An unknown id, or a new one that another key has."""
    before = house.keyring.read_text(encoding="utf-8")
    assert house.run("keys", "new", *arguments).exit_code == code
    assert house.run("keys", "new", "--replace", "k1", "--dialect", "native").exit_code == 2
    assert house.keyring.read_text(encoding="utf-8") == before


def test_a_token_for_one_client_is_signed(house: House) -> None:
    """With the vendor's own words, and with an id that no other URL has."""
    settings = SETTINGS.replace(ACCEPTED, "[retail_digitals]").replace("prefix: /shop/", "prefix: /i/")
    house.config.write_text(settings, encoding="utf-8")
    house.add_key("--id", "rd1", "--dialect", "retail_digitals")
    words = ("--ip", "203.0.113.7", "--expires-in", "15m", "--with", "client_id", "cl_7f3a")
    path = "https://img.example.com/i/0012345678905/front?w=800"
    urls = [house.signed(*words, path) for _ in range(2)]
    assert urls[0] != urls[1]
    assert house.run("verify", "--ip", "203.0.113.7", urls[0]).exit_code == 0
    assert house.run("verify", "--ip", "203.0.113.8", urls[0]).exit_code == 1
    assert house.run("sign", *words, "--with", "client_id", "not one", path).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sign", "/shop/cat.jpg", "--dialect", "cloudfrnt"), "no dialect 'cloudfrnt'; did you mean 'cloudfront'?"),
        (
            ("sign", "/shop/cat.jpg", "--dialect", "cloudfront"),
            "does not accept the dialect cloudfront; it accepts native",
        ),
        (("sign", "/shop/cat.jpg", "--key", "k9"), "The keyring has no key k9; there are k1, z1, z2."),
        (("sign", "/shop/cat.jpg", "--key", "z2"), "Key z2 belongs to the dialect keycdn_access, not to native"),
        (("sign", "shop/cat.jpg"), "A path starts with a slash"),
        (
            ("sign", "https://img.example.com/cat.jpg"),
            "there are shop (img.example.com/shop/), zone (cdn.example.com/)",
        ),
        (("sign", "https://cdn.example.com/cat.jpg"), "to an address, and none was given (--ip)"),
        (("sign", "/shop/cat.jpg", "--with", "acl", "/*"), "it can sign address, cid,"),
        (("explain", "/shop/cat.jpg"), "first failed check: dialect (nothing of native, keycdn_image is in it)"),
        (("keys", "new", "--dialect", "imgprox"), "no dialect 'imgprox'; did you mean 'imgproxy'?"),
        (("keys", "new", "--algorithm", "md5"), "A key of native is for one of hmac-sha256, ed25519, not for md5."),
        (("keys", "new", "--id", "a b"), "The keyring would refuse this key: id"),
    ],
)
def test_what_was_typed_wrongly_is_answered_with_what_would_be_right(
    house: House, arguments: tuple[str, ...], said: str
) -> None:
    """The names that there are, the option that is missing."""
    assert said in " ".join(house.run(*arguments).output.split())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("  state: retiring", "native: key k1 is retiring"),
        ("  sites: [zone]", "native: key k1 is for zone only"),
        ("  not_after: 2020-01-01T00:00:00Z", "native: key k1 is outside of its dates"),
    ],
)
def test_why_a_key_does_not_sign_is_said(house: House, changes: str, said: str) -> None:
    """And what is in the way of each further dialect of the site."""
    text = house.run("keys", "new", "--id", "k1").stdout
    house.keyring.write_text(f"{text}{changes}\n", encoding="utf-8")
    refused = house.run("sign", "/shop/cat.jpg")
    assert refused.exit_code == 1
    assert said in refused.output
    assert "keycdn_image: the keyring has no key of it; `countermark keys new --dialect keycdn_image" in refused.output
