"""Turns of the keys, where several of them meet at one file."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from countermark.core.errors import ConfigurationInvalid, ResourceUnknown
from countermark.keys.keyfile import load, render
from countermark.keys.keyring import Key
from countermark.rotation.turn import Turn, outlook, revoke, rotate
from countermark.settings.model import RotationSettings, Settings
from countermark.signing.table import KEY_USES

IDS = [f"k{number}" for number in range(12)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A keyring of many keys."""
    keys = [Key(id=id, dialect="native", algorithm="hmac-sha256", material=id.encode().ljust(32)) for id in IDS]
    (tmp_path / "keys.yaml").write_text("".join(render(key) for key in keys))
    return Settings(
        keys=str(tmp_path / "keys.yaml"),
        keys_history=str(tmp_path / "history.jsonl"),
        rotation={"native": RotationSettings()},
    )


def states(settings: Settings) -> dict[str, str]:
    return {key.id: key.state for key in load(Path(settings.keys).read_text(), file="", uses=KEY_USES).keys}


def at_once(settings: Settings, turns: list[Turn]) -> None:
    """Each in a thread of its own, as far as possible in the same moment."""
    start = Barrier(len(turns))

    def take(turn: Turn) -> None:
        start.wait(30)
        turn(settings)

    with ThreadPoolExecutor(len(turns)) as pool:
        list(pool.map(take, turns))


def test_no_revocation_is_lost_to_another(settings: Settings) -> None:
    """Each works on what the one before has written."""
    at_once(settings, [partial(revoke, key_id=id, clock=time.time, by="oncall") for id in IDS])
    assert states(settings) == dict.fromkeys(IDS, "revoked")
    history = Path(settings.keys_history).read_text().splitlines()
    assert sorted(json.loads(line)["key"] for line in history) == sorted(IDS)


def test_rotations_at_once_publish_one_successor(settings: Settings) -> None:
    """The second finds it published, and has nothing to do."""
    at_once(settings, [partial(rotate, clock=time.time, by="timer", due=True) for _ in range(6)])
    assert sorted(states(settings).values()) == ["active"] * len(IDS) + ["pending"]
    assert len(Path(settings.keys_history).read_text().splitlines()) == 1


def test_the_outlook_is_what_a_rotation_does(settings: Settings) -> None:
    """And looking changes nothing."""
    before = Path(settings.keys).read_bytes()
    (step,) = outlook(settings, now=1_800_000_000, due=True).steps
    assert Path(settings.keys).read_bytes() == before
    (change,) = rotate(settings, clock=lambda: 1_800_000_000.5, by="timer", due=True)
    assert (step.action, change.before, change.after) == ("publish", "", "pending")


def test_a_file_that_cannot_be_read_whole_still_lets_a_key_go(settings: Settings) -> None:
    """A fault of another entry does not keep a leaked key in use."""
    path = Path(settings.keys)
    path.write_text(path.read_text() + "- id: broken\n  secret: short\n")
    with pytest.raises(ConfigurationInvalid):
        rotate(settings, clock=time.time, by="timer", due=True)
    revoke(settings, "k3", clock=time.time, by="oncall")
    assert path.read_text().count("state: revoked") == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"[]\n", ResourceUnknown),
        (b"[{id: k1}]\n", ResourceUnknown),
        (b"- k1\n", ResourceUnknown),
        (b"- id: k1\n  id: k1\n", ConfigurationInvalid),
        (b"- {\n", ConfigurationInvalid),
        (b"\xff\xfe", ConfigurationInvalid),
        (b"x" * 300_000, ConfigurationInvalid),
    ],
)
def test_a_file_that_is_none_stays_as_it_is(settings: Settings, content: bytes, error: type[Exception]) -> None:
    """With a sentence in place of a traceback."""
    Path(settings.keys).write_bytes(content)
    with pytest.raises(error):
        revoke(settings, "k1", clock=time.time, by="oncall")
    assert Path(settings.keys).read_bytes() == content


def test_a_history_that_is_none_stops_a_rotation(settings: Settings) -> None:
    """Whose ids are not known could be given again."""
    Path(settings.keys_history).write_text("nonsense\n")
    with pytest.raises(ConfigurationInvalid, match="no history of keys"):
        rotate(settings, clock=time.time, by="timer", due=True)
    assert set(states(settings)) == set(IDS)
