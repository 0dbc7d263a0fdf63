"""`countermark doctor` looks at this machine and at what the settings name."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

from .conftest import SETTINGS, Run


def findings(ended: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """What it found, by the thing that it looked at."""
    return {finding["check"]: finding for finding in json.loads(ended.stdout)}


def test_the_machine_and_its_surroundings_are_looked_at(countermark: Run, folder: Path) -> None:
    """Every line has a state, and what is not ok says what to do."""
    with (folder / "settings.yaml").open("a") as settings:
        settings.write("cache: { disk: ./cache, disk_size: 1MiB }\n")
    found = findings(countermark("doctor", "--json"))
    wanted = {"settings", "python", "libvips", "descriptors", "clock", "allocator", "origin pictures", "disk cache"}
    assert wanted | {"port listen", "port admin", "sandbox seccomp", "sandbox landlock"} <= found.keys()
    for name in ("settings", "python", "libvips", "origin pictures", "disk cache", "port listen"):
        assert found[name]["state"] == "ok", found[name]
    assert found["store"] == {"check": "store", "state": "ok", "message": "answers", "advice": ""}
    assert "avif" in found["libvips"]["message"]
    assert all(finding["advice"] for finding in found.values() if finding["state"] != "ok")


def test_what_does_not_work_fails_and_says_so_by_exit_status(countermark: Run, folder: Path) -> None:
    """An origin that nobody serves, a cache folder that cannot be, a port that is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, and nobody answers
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        text = SETTINGS.replace('listen: "127.0.0.1:0"', f'listen: "{listen}"').replace("./pictures", "./none")
        (folder / "settings.yaml").write_text(f"{text}cache: {{ disk: ./keys.yaml/cache }}\n")
        gone = f"{{ url: '{url}', allow_networks: [127.0.0.0/8] }}"
        ended = countermark(
            "doctor", "--json", COUNTERMARK_ORIGINS__GONE=gone, COUNTERMARK_STORE="redis://:hunter2@127.0.0.1:1"
        )
    found = findings(ended)
    assert ended.returncode == 1
    assert found["origin gone"]["state"] == "fail"
    assert found["origin pictures"]["state"] == "fail"
    assert found["store"]["state"] == "fail"
    assert "hunter2" not in ended.stdout
    assert found["disk cache"]["state"] == "fail"
    assert found["port listen"]["state"] == "warn"


def test_without_settings_only_the_machine_is_looked_at(countermark: Run, folder: Path) -> None:
    """A new user may start with it; what is missing is said in plain lines."""
    (folder / "settings.yaml").unlink()
    ended = countermark("doctor")
    assert "warn settings: there is no settings.yaml" in ended.stdout
    assert "python:" in ended.stdout
    assert "origin" not in ended.stdout.replace("origins, cache and ports are not looked at", "")


def test_faulty_settings_are_a_failure(countermark: Run, folder: Path) -> None:
    """The faults themselves are for `check`."""
    (folder / "settings.yaml").write_text("server: 3\n")
    ended = countermark("doctor")
    assert ended.returncode == 1
    assert "fail settings: 1 faults in settings.yaml" in ended.stdout
    assert "see `countermark check`" in ended.stdout
