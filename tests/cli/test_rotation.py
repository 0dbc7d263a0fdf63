"""`keys rotate`, `revoke` and `seal`, as a timer and as people use them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from countermark.settings.units import format_moment
from tests.cli.house import SETTINGS, House

DAY = 86_400
ROTATION = "rotation: { native: {} }\n"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path, SETTINGS + ROTATION)
    made.add_key("--id", "k1")
    return made


def listed(house: House) -> dict[str, str]:
    rows = json.loads(house.run("keys", "list", "--json").stdout)
    return {row["id"]: row["state"] for row in rows}


def ripen(house: House) -> None:
    """Let the published key have stood there for a day."""
    text = house.keyring.read_text()
    published = text.rpartition("not_before: ")[2].split("\n", 1)[0]
    house.keyring.write_text(text.replace(published, format_moment(int(time.time()) - DAY)))


def test_keys_follow_one_another(house: House) -> None:
    """A URL of the old key still opens after the change, and the new one signs."""
    url = house.signed("/shop/cat.jpg")
    assert house.run("keys", "rotate").exit_code == 0
    published = next(key_id for key_id, state in listed(house).items() if state == "pending")
    ripen(house)
    done = house.run("keys", "rotate", "--if-due")
    assert done.exit_code == 0, done.output
    states = listed(house)
    assert (states["k1"], states[published]) == ("retiring", "active")
    assert sorted(states.values()) == ["active", "pending", "retiring"]
    assert house.run("verify", url).exit_code == 0
    assert json.loads(house.signed("--json", "/shop/cat.jpg"))["key"] == published
    assert house.run("keys", "rotate", "--if-due").stdout == "nothing is due\n"


def test_the_history_tells_each_change_and_no_secret(house: House) -> None:
    """Who, when, which key, from where to where."""
    house.run("keys", "rotate")
    house.run("keys", "revoke", "k1")
    house.run("keys", "rotate")
    text = house.keyring.with_name("keys-history.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    assert [(record.get("before", ""), record["after"]) for record in records] == [
        ("", "pending"),
        ("active", "revoked"),
        ("pending", "active"),
        ("", "pending"),
    ]
    assert all(record["by"] and record["at"].endswith("Z") and len(record["fingerprint"]) == 8 for record in records)
    secrets = [line.split()[1] for line in house.keyring.read_text().splitlines() if "secret:" in line]
    assert len(secrets) == 3
    assert not [secret for secret in secrets if secret in text]


def test_an_account_without_a_name_is_told_by_its_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    assert house.run("keys", "revoke", "k1").exit_code == 0
    record = json.loads(house.keyring.with_name("keys-history.jsonl").read_text())
    assert record["by"] == "54321"


def test_comments_stay_and_strangers_see_nothing(house: House) -> None:
    """The file is changed in place, and others than its owner and group lose what rights they had."""
    house.keyring.write_text("# the shop's\n" + house.keyring.read_text().replace("id: k1", "id: k1  # from May"))
    house.keyring.chmod(0o644)
    house.run("keys", "rotate")
    assert house.keyring.read_text().startswith("# the shop's\n- id: k1  # from May\n")
    assert house.keyring.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in house.keyring.parent.glob(".keys*")] == []


def test_a_dry_run_changes_nothing(house: House) -> None:
    """And says that it could ask nobody."""
    before = house.keyring.read_bytes()
    told = house.run("keys", "rotate", "--dry-run")
    assert "would publish a successor of k1" in told.stdout
    assert "no gateway answers" in told.stdout
    assert house.keyring.read_bytes() == before
    assert not house.keyring.with_name("keys-history.jsonl").exists()


def test_a_revoked_key_opens_nothing(house: House) -> None:
    """Whatever the state of the other keys."""
    url = house.signed("/shop/cat.jpg")
    assert house.run("keys", "revoke", "k1").exit_code == 0
    assert house.run("verify", url).exit_code == 1
    unknown = house.run("keys", "revoke", "k9")
    assert unknown.exit_code == 1
    assert "no entry for a key 'k9'" in unknown.output


def test_an_id_never_comes_back(house: House) -> None:
    """A key that was revoked by its id on other machines must not be followed by one of the same name."""
    house.run("keys", "rotate")
    first = next(key_id for key_id, state in listed(house).items() if state == "pending")
    text = house.keyring.read_text()
    house.keyring.write_text(text[: text.index(f"- id: {first}")])
    house.run("keys", "rotate")
    assert first not in listed(house)
    assert len(listed(house)) == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("", "names no dialect"),
        ("rotation: { nativ: {} }", "no such dialect"),
        ("rotation: { pixel_fiddler: {} }", "by hand"),
        ("rotation: { native: { every: 1s } }", "every"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told(tmp_path: Path, settings: str, sentence: str) -> None:
    """Before anything is changed."""
    house = House(tmp_path, f"{SETTINGS}{settings}\n")
    house.add_key("--id", "k1")
    refused = house.run("keys", "rotate")
    assert refused.exit_code == 1
    assert sentence in refused.output


class TestSealed:
    """With a master key beside the settings."""

    @pytest.fixture
    def house(self, tmp_path: Path) -> House:
        """A keyring of two plain keys, and who could seal them."""
        made = House(tmp_path, f"{SETTINGS}{ROTATION}kms: local:./master.key\n")
        assert made.run("keys", "master", str(tmp_path / "master.key")).exit_code == 0
        made.add_key("--id", "k1")
        made.add_key("--id", "ed", "--algorithm", "ed25519")
        return made

    def test_plain_keys_are_sealed_and_go_on_signing(self, house: House) -> None:
        """No secret is left in the file."""
        urls = [house.signed("--key", key_id, "/shop/cat.jpg") for key_id in ("k1", "ed")]
        sealed = house.run("keys", "seal")
        assert sealed.stdout == "sealed: k1, ed\n", sealed.output
        text = house.keyring.read_text()
        assert "secret:" not in text
        assert "private:" not in text
        assert [house.run("verify", url).exit_code for url in urls] == [0, 0]
        assert house.signed("--exact", "--key", "ed", "/shop/cat.jpg")

    def test_new_keys_of_a_rotation_are_sealed(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also those that retire, whose new date is bound too."""
        house.run("keys", "seal")
        url = house.signed("--key", "k1", "--expires-in", "1d", "/shop/cat.jpg")
        house.run("keys", "rotate")
        assert house.keyring.read_text().count("sealed: local.") == 4
        now = time.time()
        monkeypatch.setattr("time.time", lambda: now + DAY / 2)
        done = house.run("keys", "rotate", "--if-due")
        assert done.exit_code == 0, done.output
        assert sorted(listed(house).values()) == ["active", "active", "pending", "pending", "retiring", "retiring"]
        assert house.keyring.read_text().count("sealed: local.") == 6
        assert house.run("verify", url).exit_code == 0

    def test_a_key_is_printed_sealed(self, house: House) -> None:
        """And is one in the keyring."""
        house.add_key("--id", "k9", "--sealed")
        assert house.signed("--key", "k9", "/shop/cat.jpg")

    @pytest.mark.parametrize(
        ("old", "new"), [("id: k1\n", "id: k7\n"), ("  sealed", "  not_after: 2030-01-01T00:00:00Z\n  sealed")]
    )
    def test_what_was_sealed_for_another_id_or_date_does_not_open(self, house: House, old: str, new: str) -> None:
        """Whoever can write the file cannot swap keys nor stretch their time."""
        house.run("keys", "seal")
        house.keyring.write_text(house.keyring.read_text().replace(old, new, 1))
        refused = house.run("check")
        assert refused.exit_code == 1
        assert "was sealed for another id" in refused.output

    def test_without_the_master_key_a_key_can_still_be_revoked(self, house: House) -> None:
        """Nothing else works, and the sentence says what is missing."""
        house.run("keys", "seal")
        house.config.with_name("master.key").unlink()
        refused = house.run("sign", "/shop/cat.jpg")
        assert refused.exit_code == 1
        assert "master.key cannot be read" in refused.output
        assert house.run("keys", "rotate").exit_code == 1
        assert house.run("keys", "revoke", "k1").exit_code == 0
        assert "state: revoked" in house.keyring.read_text()

    def test_the_master_key_can_be_changed(self, house: House) -> None:
        """What the old one sealed is sealed anew."""
        house.run("keys", "seal")
        folder = house.config.parent
        (folder / "master.key").rename(folder / "old.key")
        house.run("keys", "master", str(folder / "master.key"))
        assert house.run("keys", "list").exit_code == 1
        assert house.run("keys", "seal", "--from", f"local:{folder}/old.key").stdout == "sealed: k1, ed\n"
        assert house.run("keys", "list").exit_code == 0

    def test_a_master_key_is_its_owners_alone(self, house: House) -> None:
        """And none is ever written over."""
        house.run("keys", "seal")
        master = house.config.with_name("master.key")
        assert house.run("keys", "master", str(master)).exit_code == 1
        master.chmod(0o640)
        assert "chmod 600" in house.run("keys", "list").output
