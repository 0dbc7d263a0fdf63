"""Keys by the admin API: the keyring file is changed and taken in one, or stays as it is."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from countermark.keys.keyfile import load
from countermark.settings.model import RotationSettings
from countermark.settings.units import format_moment
from countermark.signing.table import KEY_USES
from countermark.telemetry.tally import Snapshot
from tests.web.admin_port import Port, admin_port, with_keys

DAY = 86_400


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with admin_port(settings=with_keys(tmp_path)) as served:
        yield served


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """The file that the port's settings name."""
    return tmp_path / "keys.yaml"


def states(keyring: Path) -> dict[str, str]:
    return {key.id: key.state for key in load(keyring.read_text(), file="", uses=KEY_USES).keys}


def set_settings(port: Port, **values: object) -> None:
    configuration = port.supervisor.configuration
    port.supervisor.configuration = replace(configuration, settings=replace(configuration.settings, **values))


def ripen(keyring: Path) -> None:
    """Let the published key have stood there for a day."""
    text = keyring.read_text()
    published = text.rpartition("not_before: ")[2].split("\n", 1)[0]
    keyring.write_text(text.replace(published, format_moment(int(time.time()) - DAY)))


async def test_keys_follow_one_another(port: Port, keyring: Path) -> None:
    """Each answer is what the file says now; the history has it under the token's name, and a reload follows."""
    first = (await port.ask("POST", "/v1/keys/rotate", by="keys", body={})).json["changes"]
    assert [(change["before"], change["after"]) for change in first] == [("", "pending")]
    ripen(keyring)
    second = (await port.ask("POST", "/v1/keys/rotate", by="keys", body={"if_due": True})).json["changes"]
    fresh = first[0]["key"]
    assert {change["key"]: change["after"] for change in second} == {**states(keyring)}
    assert (states(keyring)["k1"], states(keyring)[fresh]) == ("retiring", "active")
    history = [json.loads(line) for line in keyring.with_name("history.jsonl").read_text().splitlines()]
    assert [record["key"] for record in history] == [change["key"] for change in [*first, *second]]
    assert {record["by"] for record in history} == {"keys"}
    assert port.supervisor.reloads == ["keys", "keys"]


async def test_nothing_due_is_no_change_and_no_reload(port: Port) -> None:
    """So that a timer costs nothing."""
    await port.ask("POST", "/v1/keys/rotate", body={"if_due": True})
    again = await port.ask("POST", "/v1/keys/rotate", body={"if_due": True})
    assert (again.status, again.json["changes"]) == (200, [])
    assert port.supervisor.reloads == ["admin"]


async def test_a_dry_run_changes_nothing(port: Port, keyring: Path) -> None:
    """It tells the steps, and who still signs with what."""
    before = keyring.read_bytes()
    port.supervisor.counted = Snapshot(counters=((("key_uses", "k1"), 7), (("reloads", "good"), 2)))
    told = await port.ask("POST", "/v1/keys/rotate", by="keys", body={"dry_run": True})
    steps = [{"action": "publish", "key": "k1", "not_after": None}]
    assert told.json == {"changes": [], "steps": steps, "uses": {"k1": 7}}
    assert keyring.read_bytes() == before
    assert not keyring.with_name("history.jsonl").exists()
    assert port.supervisor.reloads == []


async def test_a_key_is_revoked(port: Port, keyring: Path) -> None:
    """In the file, under the token's name, and the gateway takes it."""
    reply = await port.ask("POST", "/v1/keys/k1/revoke", by="keys")
    assert (reply.status, reply.json["change"]["before"], reply.json["change"]["after"]) == (200, "active", "revoked")
    assert states(keyring) == {"k1": "revoked"}
    assert json.loads(keyring.with_name("history.jsonl").read_text())["by"] == "keys"
    assert port.supervisor.reloads == ["keys"]


@pytest.mark.parametrize("id", ["k9", "k1%0A", "..%2Fk1", "%22%7D", "k" * 500])
async def test_a_key_that_is_not_there_is_404(port: Port, keyring: Path, id: str) -> None:
    """Whatever stands in the place of its id, and nothing changes."""
    before = keyring.read_bytes()
    assert (await port.ask("POST", f"/v1/keys/{id}/revoke")).status == 404
    assert keyring.read_bytes() == before
    assert port.supervisor.reloads == []


@pytest.mark.parametrize(("path", "body"), [("/v1/keys/rotate", {}), ("/v1/keys/k1/revoke", None)])
class TestOrders:
    """What holds for both of them."""

    @pytest.fixture
    def no_room(self, keyring: Path) -> Iterator[str]:
        """The keyring file in a folder that takes no new file, not even root's."""
        with keyring.open() as file:
            yield f"/proc/self/fd/{file.fileno()}"

    async def test_a_token_of_one_site_may_not(self, port: Port, keyring: Path, path: str, body: object) -> None:
        """Keys are for all sites."""
        before = keyring.read_bytes()
        refused = await port.ask("POST", path, by="shop", body=body)
        assert (refused.status, refused.json["reason"]) == (403, "role_missing")
        assert keyring.read_bytes() == before

    async def test_a_read_only_folder_is_a_conflict(
        self, port: Port, keyring: Path, no_room: str, path: str, body: object
    ) -> None:
        """Said as one; file, history and gateway are as they were."""
        before = keyring.read_bytes()
        set_settings(port, keys=no_room)
        refused = await port.ask("POST", path, body=body)
        assert (refused.status, refused.json["reason"]) == (409, "conflict")
        assert f"{no_room}: cannot be written" in refused.json["detail"]
        assert keyring.read_bytes() == before
        assert not keyring.with_name("history.jsonl").read_text()
        assert port.supervisor.reloads == []

    async def test_without_a_trace_nothing_changes(self, port: Port, keyring: Path, path: str, body: object) -> None:
        """A history that cannot be written keeps the file as it was."""
        before = keyring.read_bytes()
        set_settings(port, keys_history=str(keyring.parent / "absent" / "history.jsonl"))
        refused = await port.ask("POST", path, body=body)
        assert refused.status == 409
        assert "history.jsonl: No such file" in refused.json["detail"]
        assert keyring.read_bytes() == before
        assert port.supervisor.reloads == []

    async def test_a_reload_that_fails_is_told(self, port: Port, path: str, body: object) -> None:
        """The file has changed, and nobody is left to believe that it counts."""
        port.supervisor.faults = ("settings.yaml:3:1: foo: unknown key 'foo'",)
        refused = await port.ask("POST", path, body=body)
        assert refused.status == 409
        assert "is changed, but the old configuration stays" in refused.json["detail"]
        assert "unknown key 'foo'" in refused.json["detail"]


async def test_a_revoked_key_opens_nothing_even_if_the_keyring_is_not_taken(port: Port) -> None:
    """The workers go on with the old keyring; the list of revocations, which they follow, names the key."""
    port.supervisor.faults = ("settings.yaml:3:1: foo: unknown key 'foo'",)
    refused = await port.ask("POST", "/v1/keys/k1/revoke")
    assert refused.status == 409
    assert "k1 is on the list of revocations meanwhile" in refused.json["detail"]
    listed = (await port.ask("GET", "/v1/revocations", by="viewer")).json["revocations"]
    assert [(entry["kind"], entry["value"]) for entry in listed] == [("key", "k1")]


async def test_without_a_rule_there_is_no_rotation(port: Port, keyring: Path) -> None:
    """The sentence says what to set."""
    before = keyring.read_bytes()
    set_settings(port, rotation={})
    for body in ({}, {"dry_run": True}):
        refused = await port.ask("POST", "/v1/keys/rotate", body=body)
        assert refused.status == 409
        assert "rotation: { native: {} }" in refused.json["detail"]
    assert keyring.read_bytes() == before


async def test_while_the_key_management_service_is_away_only_a_revocation_goes_through(
    port: Port, keyring: Path
) -> None:
    """A new key cannot be sealed, so none is made: 503, and why."""
    before = keyring.read_bytes()
    set_settings(port, kms=f"local:{keyring.with_name('master.key')}")
    refused = await port.ask("POST", "/v1/keys/rotate", body={})
    assert (refused.status, refused.json["reason"]) == (503, "kms_unavailable")
    assert "master.key" in refused.json["detail"]
    assert keyring.read_bytes() == before
    assert (await port.ask("POST", "/v1/keys/k1/revoke")).status == 200


@pytest.mark.parametrize("body", [{"if_due": 1}, {"dry": True}, [], None])
async def test_an_order_that_makes_no_sense_changes_nothing(port: Port, keyring: Path, body: object) -> None:
    """A misspelt dry run above all."""
    before = keyring.read_bytes()
    assert (await port.ask("POST", "/v1/keys/rotate", body=body)).status == 400
    assert keyring.read_bytes() == before


async def test_each_dialect_has_its_rule(port: Port, keyring: Path) -> None:
    """Keys of a dialect that the setting does not name are left alone."""
    set_settings(port, rotation={"session": RotationSettings()})
    assert (await port.ask("POST", "/v1/keys/rotate", body={})).json["changes"] == []
    assert states(keyring) == {"k1": "active"}
