"""What a URL is bound to by plain options of `sign`, and how `verify` and `explain` tell it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.house import House

SESSION = "0123456789abcdef"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    for key_id, dialect in (("k1", "native"), ("z1", "keycdn_image")):
        made.add_key("--id", key_id, "--dialect", dialect)
    return made


def test_a_url_says_what_its_options_bind(house: House) -> None:
    """Each by the name that it has in the URL; countries sorted, once, in upper case."""
    options = ("--session", SESSION, "--client", "app-1", "--user", "zoë", "--context", "mail/7", "--jti", "order-17")
    url = house.signed("/shop/cat.jpg", *options, "--country", "de", "--country", "CH", "--country", "DE")
    pairs = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    facts = {"sid": SESSION, "cid": "app-1", "uid": "zoë", "ctx": "mail/7", "jti": "order-17", "geo": "CH.DE"}
    assert pairs.items() >= facts.items()
    assert pairs.keys() == facts.keys() | {"exp", "kid", "sig"}


def test_a_single_use_is_new_each_time(house: House) -> None:
    """`--once` is a flag: 16 random bytes, in letters and digits, so that no command takes them for an option."""
    made = [parse_qs(urlsplit(house.signed("/shop/cat.jpg", "--once")).query)["once"][0] for _ in range(2)]
    assert len(set(made)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", once) for once in made)


def test_the_time_of_signing_is_now(house: House) -> None:
    """`--issued` is a flag, too."""
    before = int(time.time())
    url = house.signed("/shop/cat.jpg", "--issued")
    assert before <= int(parse_qs(urlsplit(url).query)["iat"][0]) <= time.time()


def test_verify_and_explain_tell_what_is_bound(house: House) -> None:
    """In one line for people, by name for machines; and nothing of a URL that binds nothing."""
    url = house.signed("/shop/cat.jpg", "--user", "zoë", "--country", "DE", "--country", "CH", "--ip", "203.0.113.7")
    for name in ("verify", "explain"):
        told = house.run(name, url, "--country", "ch", "--ip", "203.0.113.7")
        assert told.exit_code == 0, told.output
        assert "\nbound to: address 203.0.113.7, countries CH DE, user zoë\n" in told.stdout
        machine = json.loads(house.run(name, "--json", url, "--country", "CH", "--ip", "203.0.113.7").stdout)
        assert {"name": "user", "text": "zoë"} in machine["bound"]
        assert "bound to" not in house.run(name, house.signed("/shop/cat.jpg")).stdout


def test_a_country_is_compared(house: House) -> None:
    """Another one, and none at all, are refused."""
    url = house.signed("/shop/cat.jpg", "--country", "CH")
    for more in ((), ("--country", "DE")):
        assert house.run("verify", url, *more).stdout.startswith("refused: country_mismatch")
        assert "first failed check: country" in house.run("explain", url, *more).stdout


def test_verify_tells_nothing_of_a_forged_url(house: House) -> None:
    """Who changed it wrote what it says of itself."""
    url = house.signed("/shop/cat.jpg", "--user", "zoe").replace("uid=zoe", "uid=eve")
    told = house.run("verify", url)
    assert told.exit_code == 1
    assert "eve" not in told.stdout
    assert json.loads(house.run("verify", "--json", url).stdout)["bound"] == []


def test_no_control_character_of_a_url_reaches_the_terminal(house: House) -> None:
    """C1 controls and bidirectional marks are names of users as far as the format goes."""
    url = house.signed("/shop/cat.jpg", "--user", "zoe\x9b31m\u202eeoz")
    for name in ("verify", "explain"):
        told = house.run(name, url).stdout
        assert "user 'zoe\\x9b31m\\u202eeoz'" in told
        assert not {"\x9b", "\u202e"} & set(told)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--session", "short"), 1, "sid must be 16 to 64"),
        (("--user", ""), 1, "uid must be 1 to 128"),
        (("--user", "x" * 129), 1, "uid must be 1 to 128"),
        (("--jti", "a b c d e"), 1, "jti must be 8 to 64"),
        (("--country", "CHE"), 2, "two letters"),
        (("--country", "Ä1"), 2, "two letters"),
        (("--user", "zoe", "--with", "uid", "eve"), 2, "Given twice, as an option and by --with: --user"),
        (("--dialect", "keycdn_image", "--user", "zoe", "--once"), 2, "keycdn_image cannot bind --user, --once"),
        (("--dialect", "keycdn_image", "--country", "CH"), 2, "native can"),
    ],
)
def test_what_cannot_be_bound_is_told(house: House, options: tuple[str, ...], code: int, said: str) -> None:
    """By the option that was typed, or by the URL's own name for it."""
    result = house.run("sign", "/shop/cat.jpg?width=5", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.output.split())


def test_a_vendors_countries_are_its_own_words(house: House) -> None:
    """Bunny binds countries in its own spelling; the refusal points there, and --with makes it."""
    with house.config.open("a", encoding="utf-8") as file:
        file.write("  - { name: theirs, origin: photos, match: { host: b.net }, accept: [bunny_hmac] }\n")
    house.add_key("--id", "b1", "--dialect", "bunny_hmac")
    refused = house.run("sign", "https://b.net/cat.jpg", "--country", "CH")
    assert refused.exit_code == 2
    assert "docs/dialects/bunny.md" in refused.output
    for word, country in (("token_countries", "CH"), ("token_countries_blocked", "DE")):
        url = house.signed("https://b.net/cat.jpg", "--with", word, country)
        assert house.run("verify", url, "--country", "CH").exit_code == 0
