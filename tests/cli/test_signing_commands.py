"""`sign`, `verify`, `explain` and `keys` as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from countermark.cli.main import root

SETTINGS = """
origins: { photos: { url: "file:./photos" } }
keys: ./keys.yaml
sites:
  - { name: shop, origin: photos, match: { host: img.example.com, prefix: /shop/ }, accept: [native, keycdn_image] }
  - name: zone
    origin: photos
    match: { host: cdn.example.com }
    accept: [keycdn_access]
    dialects: { keycdn_access: { ip: true } }
"""


class House:
    """A folder with settings and a keyring, and the commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "countermark.yaml"
        self.config.write_text(SETTINGS, encoding="utf-8")
        self.keyring = folder / "keys.yaml"
        self.keyring.write_text("", encoding="utf-8")
        for key_id, dialect in (("k1", "native"), ("z1", "keycdn_image"), ("z2", "keycdn_access")):
            self.add_key("--id", key_id, "--dialect", dialect)

    def add_key(self, *arguments: str) -> None:
        made = self.run("keys", "new", *arguments)
        assert made.exit_code == 0, made.output
        with self.keyring.open("a", encoding="utf-8") as file:
            file.write(made.stdout)

    def run(self, name: str, *arguments: str) -> Result:
        environ = {"COUNTERMARK_CONFIG": str(self.config)}
        return CliRunner().invoke(root, [name, *arguments], env=environ, prog_name="countermark")

    def signed(self, *arguments: str) -> str:
        result = self.run("sign", *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


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
