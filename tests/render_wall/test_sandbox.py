"""The sandbox: what a decoder that was taken over can still do, and what happens where a layer is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from countermark.core.errors import ConfigurationInvalid, RenderCrashed
from countermark.render import sandbox

from .conftest import StartPool, say

LAYERS = ("namespaces", "landlock", "rlimits", "seccomp")


@pytest.mark.parametrize(
    ("deed", "answer"),
    [("read file", "denied 13"), ("write file", "denied 13"), ("stat file", "denied 13"), ("own other", "denied 1")],
)
async def test_the_file_system_and_other_processes_are_out_of_reach(
    start_pool: StartPool, deed: str, answer: str
) -> None:
    """Refused with an error that libraries can live with."""
    pool = await start_pool(children=1)
    assert await say(pool, f"do:{deed}") == answer


@pytest.mark.parametrize(
    "deed",
    ["tcp", "udp", "unix", "exec", "fork", "signal parent", "write and execute", "make executable"],
)
async def test_what_only_an_attacker_does_kills_the_child(start_pool: StartPool, deed: str) -> None:
    """SIGSYS, so that it is seen; the gateway lives and renders on."""
    pool = await start_pool(children=1)
    with pytest.raises(RenderCrashed) as caught:
        await say(pool, f"do:{deed}")
    assert "SIGSYS" in caught.value.private
    assert await say(pool, "say:alive") == "alive"


@pytest.mark.parametrize(
    ("deed", "answer"),
    [
        ("read file", "denied 13"),
        ("write file", "denied 13"),
        ("tcp", "denied 13"),
        ("udp", "denied 101"),
        ("exec", "denied 13"),
        ("signal parent", "denied 1"),
    ],
)
async def test_the_other_layers_hold_where_seccomp_is_waived(start_pool: StartPool, deed: str, answer: str) -> None:
    """Landlock and the namespaces do not lean on the filter."""
    pool = await start_pool("prepare_without_seccomp", children=1, unsafe_waive_sandbox=("seccomp",))
    assert await say(pool, f"do:{deed}") == answer


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_missing_layer_refuses_the_start_and_names_its_waiver(start_pool: StartPool, layer: str) -> None:
    """The operator reads which setting accepts the loss; waiving other layers does not help."""
    others = tuple(other for other in LAYERS if other != layer)
    with pytest.raises(ConfigurationInvalid) as caught:
        await start_pool(f"prepare_without_{layer}", children=1, unsafe_waive_sandbox=others)
    assert layer in caught.value.detail
    assert "render.unsafe_waive_sandbox" in caught.value.detail


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_waived_missing_layer_leaves_the_rest_standing(start_pool: StartPool, layer: str) -> None:
    """Rendering works, and files stay closed by what is left."""
    pool = await start_pool(f"prepare_without_{layer}", children=1, unsafe_waive_sandbox=(layer,))
    assert await say(pool, "do:read file") == "denied 13"


async def test_a_child_with_threads_is_never_locked(start_pool: StartPool) -> None:
    """A thread from before the lock would stay outside: no waiver opens that."""
    with pytest.raises(ConfigurationInvalid, match="threads"):
        await start_pool("prepare_with_a_thread", children=1, unsafe_waive_sandbox=LAYERS)


async def test_a_locked_child_has_no_capability_and_can_gain_none(start_pool: StartPool) -> None:
    """Also when the gateway runs as root."""
    pool = await start_pool(children=1)
    status = Path(f"/proc/{await say(pool, 'pid:')}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == int(facts["CapInh"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"


def test_a_probe_tells_of_every_layer_and_changes_nothing_here() -> None:
    """`countermark doctor` asks this."""
    report = sandbox.probe()
    assert set(report.standing) | set(report.missing) == {"privileges", *LAYERS}
    assert Path("/proc/self/status").read_text().count("Seccomp:\t0") == 1
    assert os.listdir("/proc/self/fd")


def test_the_lock_refuses_in_words_where_it_is_called_too_late() -> None:
    """In a process with threads, before anything is changed."""
    source = (
        "import threading; from countermark.render import sandbox\n"
        "end = threading.Event(); threading.Thread(target=end.wait).start()\n"
        "try: sandbox.lock(sandbox.WAIVABLE, memory=2**32)\n"
        "except Exception as error: print(error.detail)\n"
        "finally: end.set()\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    run = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "threads" in run.stdout
