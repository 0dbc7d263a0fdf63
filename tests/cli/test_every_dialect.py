"""Every dialect through the commands: a key is made, a URL signed, verified and explained, then changed on its way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from countermark.signing.table import DIALECTS
from tests.cli.house import House
from tests.signing.samples import BASE_URL, HOST, SAMPLES, changed

UNMINTED = [name for name in DIALECTS if name not in SAMPLES]
PROCESSES = ["native", "imgproxy", "cloudfront"]


def settings(*dialects: str) -> str:
    """One site that accepts these, with the options of their samples."""
    options = {name: {**SAMPLES[name].options, **waived(name)} for name in dialects if name in SAMPLES}
    return f"""
origins: {{ photos: {{ url: "file:./photos" }} }}
keys: ./keys.yaml
sites:
  - name: theirs
    origin: photos
    match: {{ host: {HOST} }}
    base_url: {BASE_URL}
    accept: [{", ".join(dialects)}]
    dialects: {json.dumps(options)}
"""


def waived(dialect: str) -> dict[str, bool]:
    """What a site must know of it that accepts it."""
    return {option.name: True for option in DIALECTS[dialect].options if option.waives}


def house_of(folder: Path, dialect: str) -> House:
    """A site with a key of its own."""
    house = House(folder, settings(dialect))
    house.add_key(*key_of(dialect))
    return house


def key_of(dialect: str) -> list[str]:
    """The arguments of `keys new`; RSA is left out, because a key of it takes a second to make."""
    quick = next(name for name in DIALECTS[dialect].capabilities.algorithms if not name.startswith("rsa"))
    return ["--id", "v1", "--dialect", dialect, "--algorithm", quick]


def order(dialect: str) -> list[str]:
    """The arguments of `sign` for the sample of a dialect."""
    sample = SAMPLES[dialect]
    words = [word for name, value in sample.extras.items() for word in ("--with", name, value)]
    bound = ["--ip", sample.address] if sample.address else []
    return ["--dialect", dialect, "--expires-in", "5m", *bound, *words, BASE_URL + sample.target]


def asked(dialect: str) -> list[str]:
    """What `verify` and `explain` must be told besides the URL."""
    return ["--ip", SAMPLES[dialect].address] if SAMPLES[dialect].address else []


@pytest.mark.parametrize("dialect", SAMPLES)
def test_a_signed_url_is_good_and_each_change_to_it_is_named(tmp_path: Path, dialect: str) -> None:
    """From `keys new` to `explain`, with nothing but the commands."""
    house, given = house_of(tmp_path, dialect), asked(dialect)
    url = house.signed(*order(dialect))
    assert house.run("verify", url, *given).stdout.startswith(f"good: site theirs, dialect {dialect}, key v1")
    told = house.run("explain", url, *given)
    assert (told.exit_code, "all checks passed" in told.stdout, "signed, in this order:" in told.stdout) == (0, 1, 1)
    for happened, change, arrived in changed(url.removeprefix(BASE_URL)):
        told = house.run("explain", BASE_URL + arrived, *given)
        accepted = told.exit_code == 0
        assert accepted or f"this explains it: {change}: " in told.stdout, (happened, arrived, told.output)
        assert accepted or "first failed check: " in told.stdout


@pytest.mark.parametrize("dialect", SAMPLES)
def test_an_expired_url_and_a_wrong_key_are_named(
    tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock in seconds; the key by its id."""
    house, given = house_of(tmp_path, dialect), asked(dialect)
    url = house.signed(*order(dialect))
    if DIALECTS[dialect].capabilities.expiry:
        later = time.time() + 7200
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: later)
            told = house.run("explain", url, *given)
        assert told.exit_code == 1
        assert "first failed check: time" in told.stdout
        assert "this explains it: clock: expired " in told.stdout
    house.keyring.write_text("", encoding="utf-8")
    house.add_key(*key_of(dialect))
    told = house.run("explain", url, *given)
    assert told.exit_code == 1
    assert "first failed check: signature" in told.stdout
    assert "perhaps: key: another secret than that of v1 signed" in told.stdout


@pytest.mark.parametrize("dialect", PROCESSES)
def test_the_commands_work_as_processes(tmp_path: Path, dialect: str) -> None:
    """As a shell runs them: the URL alone on standard output, the exit status for scripts."""
    house = house_of(tmp_path, dialect)
    signed = house.process("sign", *order(dialect))
    assert (signed.returncode, signed.stderr) == (0, "")
    url = signed.stdout.strip()
    assert house.process("verify", url).returncode == 0
    told = house.process("explain", f"{url}{'&' if '?' in url else '?'}utm_source=mail")
    assert (told.returncode, told.stderr) == (1, "")
    assert "this explains it: extra-parameter: utm_source=mail came in on the way" in told.stdout


@pytest.mark.parametrize("dialect", UNMINTED)
def test_a_dialect_without_urls_says_why_none_is_signed(tmp_path: Path, dialect: str) -> None:
    """In the command's own words, not as a fault of the path that was given."""
    house = house_of(tmp_path, dialect)
    refused = house.run("sign", f"{BASE_URL}/a.jpg")
    assert refused.exit_code == 1
    assert DIALECTS[dialect].capabilities.unminted in refused.output


@pytest.mark.parametrize("accepted", [("native", "cloudflare_images"), ("rfc9421", "cloudflare_images")])
def test_a_site_with_several_dialects_signs_in_each(tmp_path: Path, accepted: tuple[str, str]) -> None:
    """The first that can, and it is said which; any by its name."""
    house = House(tmp_path, settings(*accepted))
    for dialect in accepted:
        house.add_key("--id", f"key-{dialect}", "--dialect", dialect)
    first = next(name for name in accepted if name in SAMPLES)
    signed = house.run("sign", f"{BASE_URL}/a.jpg?w=8")
    assert signed.exit_code == 0
    assert f"signed in the dialect {first}, with key key-{first}" in signed.stderr
    assert house.run("verify", signed.stdout.strip()).stdout.startswith(f"good: site theirs, dialect {first}")
    url = house.signed("--dialect", "cloudflare_images", f"{BASE_URL}/a.jpg?w=8")
    assert house.run("verify", url).stdout.startswith("good: site theirs, dialect cloudflare_images")


def test_a_dialect_that_another_one_shadows_is_named(tmp_path: Path) -> None:
    """Both call their signature `sig`, and the first of the two takes every such URL for its own."""
    house = House(tmp_path, settings("cloudflare_images", "native"))
    house.add_key("--id", "c1", "--dialect", "cloudflare_images")
    house.add_key("--id", "n1", "--dialect", "native")
    refused = house.run("sign", "--dialect", "native", f"{BASE_URL}/a.jpg")
    assert refused.exit_code == 1
    assert "would take it for a URL of cloudflare_images" in refused.output
    assert "Put native before cloudflare_images in sites[].accept" in refused.output


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if DIALECTS[name].capabilities.signs_base_url])
def test_a_site_without_a_base_url_is_told_of_it(tmp_path: Path, dialect: str) -> None:
    """At `check` time, with its place in the file: no URL of the dialect would ever open the site."""
    house = House(tmp_path, settings(dialect).replace(f"base_url: {BASE_URL}", "watermark: ''"))
    for found in (house.run("check"), house.run("sign", f"{BASE_URL}/a.jpg")):
        assert found.exit_code == 1
        place = f"countermark.yaml:9:14: sites[0].accept[0]: {dialect} signs scheme and host"
        assert place in found.output
        assert f"sites[0].base_url should be those that viewers have, such as {BASE_URL}" in found.output


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("", "azure_blob_sas needs sites[0].dialects.azure_blob_sas.account, which should be the name of a storage"),
        (
            "account: Pictures!",
            "azure_blob_sas.account: should be the name of a storage account: 3 to 24 small letters",
        ),
    ],
)
def test_a_storage_account_is_asked_for(tmp_path: Path, account: str, said: str) -> None:
    """Because it is signed."""
    written = settings("azure_blob_sas").replace('"account": "pictures"', account)
    house = House(tmp_path, written)
    checked = house.run("check")
    assert checked.exit_code == 1
    assert "countermark.yaml:" in checked.output
    assert said in checked.output
