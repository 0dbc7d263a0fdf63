"""The pool: what is rendered, and what becomes of the others when a decoder does its worst."""

from __future__ import annotations

import asyncio
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import pyvips
import uvloop

from countermark.core.errors import (
    ConfigurationInvalid,
    Overloaded,
    PictureBroken,
    PictureTooLarge,
    RenderCrashed,
    RenderDeadline,
)
from countermark.render import pool as pool_module
from countermark.render import wire
from countermark.render.child import NICE
from countermark.render.pool import RenderPool
from countermark.settings.model import RenderSettings

from .conftest import ENGINES, StartPool, recipe, render, say


def picture(suffix: str, **options: object) -> bytes:
    """A small picture in a format of libvips."""
    image = (
        pyvips.Image.gaussnoise(120, 80, mean=128, sigma=40)
        .cast("uchar")
        .bandjoin([90, 160])
        .copy(interpretation="srgb")
    )
    body: bytes = image.write_to_buffer(suffix, **options)
    return body


def parent_of(pid: int) -> int:
    """The parent's pid, as the kernel says."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for_end(pidfds: list[int]) -> bool:
    """Whether all these processes ended within a bounded time."""
    ended = all(select.select([pidfd], [], [], 20)[0] for pidfd in pidfds)
    for pidfd in pidfds:
        os.close(pidfd)
    return ended


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", {}),
        (".jpg", {"interlace": True}),
        (".png", {}),
        (".png", {"interlace": True}),
        (".webp", {}),
        (".gif", {}),
        (".tif", {"compression": "lzw"}),
        (".tif", {"compression": "jpeg"}),
        (".avif", {}),
    ],
)
async def test_every_format_is_decoded_behind_the_locked_wall(
    start_pool: StartPool, suffix: str, options: dict[str, object]
) -> None:
    """The sandbox leaves libvips all that it needs."""
    pool = await start_pool(children=1)
    rendered = await render(pool, picture(suffix, **options))
    assert (rendered.format, rendered.width, rendered.height) == ("jpeg", 60, 40)
    assert rendered.body.startswith(b"\xff\xd8\xff")
    assert rendered.render_seconds > 0


async def test_a_truncated_picture_leaves_its_child_usable(start_pool: StartPool) -> None:
    """An engine that raises something unexpected loses its child; the next picture is rendered by another."""
    pool = await start_pool(children=1)
    with pytest.raises(RenderCrashed) as caught:
        await render(pool, picture(".jpg")[:800])
    assert "Error" in caught.value.private
    assert (await render(pool, picture(".jpg"))).width == 60


async def test_a_refusal_arrives_as_the_error_that_the_engine_raised(start_pool: StartPool) -> None:
    """Reason, public detail and private detail cross the wall; the child goes on."""
    pool = await start_pool(children=1)
    child = await say(pool, "pid:")
    with pytest.raises(PictureTooLarge) as caught:
        await render(pool, b"large:")
    assert (caught.value.detail, caught.value.private) == ("Too many pixels.", "the gate said so")
    assert await say(pool, "pid:") == child
    assert pool.facts.refused == 1


async def test_an_empty_original_is_broken_without_a_child(start_pool: StartPool) -> None:
    """Nothing is rendered of nothing."""
    pool = await start_pool(children=1)
    with pytest.raises(PictureBroken):
        await render(pool, b"")


async def test_a_result_of_any_size_arrives_whole(start_pool: StartPool) -> None:
    """A small one in the child's answer, any other by its file, and none of the former's bytes behind it."""
    pool = await start_pool(children=1)
    for size in (30_000_000, 3, wire.SMALL, wire.SMALL + 1, 1):
        assert (await render(pool, b"big:%d" % size)).body == b"x" * size


async def test_an_original_of_any_size_arrives_whole(start_pool: StartPool) -> None:
    """A small one in the job, any other by its file, also when they take turns."""
    pool = await start_pool(children=1)
    for size in (wire.SMALL + 1, 100, 3_000_000, wire.SMALL, wire.SMALL + 2):
        original = b"digest:" + random.Random(size).randbytes(size - 7)
        assert (await render(pool, original)).body == sha256(original).digest()


async def test_children_know_the_watermarks_and_none_of_the_credentials(
    start_pool: StartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the gateway's environment a decoder gets what it needs."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("COUNTERMARK_KEYS", "hush")
    pool = await start_pool(children=1, watermarks={"brand": b"m" * 300_000})
    assert await say(pool, "watermark:brand") == "m" * 300_000
    names = (await say(pool, "environment:")).split()
    assert "PATH" in names
    assert not {"AWS_SECRET_ACCESS_KEY", "COUNTERMARK_KEYS"} & set(names)


@pytest.mark.parametrize("hang", ["hang", "sleep"])
async def test_a_hang_is_ended_at_its_deadline_and_the_next_job_succeeds(start_pool: StartPool, hang: str) -> None:
    """In C without the interpreter, or waiting: only this request gets RenderDeadline."""
    pool = await start_pool(children=1)
    with pytest.raises(RenderDeadline):
        await say(pool, f"do:{hang}", seconds=0.2)
    assert await say(pool, "say:next") == "next"
    assert (pool.facts.killed, pool.facts.crashed, pool.facts.children) == (1, 0, 1)


async def test_the_setting_bounds_the_deadline_of_every_recipe(start_pool: StartPool) -> None:
    """A recipe cannot ask for more wall time than the settings give."""
    pool = await start_pool(children=1, deadline=0.2)
    with pytest.raises(RenderDeadline):
        await say(pool, "do:sleep", seconds=1000.0)


async def test_a_child_yields_to_the_event_loop(start_pool: StartPool) -> None:
    """Nicer, and in its session: Linux compares niceness within a session only, where it groups by them (autogroup).

    In a process group of its own, so that a terminal's Ctrl-C does not reach it.
    """
    pool = await start_pool(children=1)
    pid = int(await say(pool, "pid:"))
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    assert os.getsid(pid) == os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)


async def test_killing_a_busy_child_fails_exactly_its_job(start_pool: StartPool) -> None:
    """kill -9 of one child: its own request is told, the one beside it and the next ones are served."""
    pool = await start_pool(children=2)
    first = int(await say(pool, "pid:"))
    doomed = asyncio.create_task(say(pool, "do:sleep"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(say(pool, "say:fine")) for _ in range(5)]
    os.kill(first, signal.SIGKILL)
    with pytest.raises(RenderCrashed) as caught:
        await doomed
    assert "SIGKILL" in caught.value.private
    assert await asyncio.gather(*others) == ["fine"] * 5
    assert await say(pool, "say:next") == "next"
    assert pool.facts.crashed == 1


async def test_killing_an_idle_child_fails_no_job(start_pool: StartPool) -> None:
    """Also when the next request is quicker than the news of its death."""
    pool = await start_pool(children=1)
    for _ in range(5):
        pid = int(await say(pool, "pid:"))
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        assert wait_for_end([pidfd])
        assert await say(pool, "say:fine") == "fine"
    assert pool.facts.crashed == 5


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("segv", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("exit", "status 0"),
        ("bug", "ZeroDivisionError"),
        ("undecodable", "UnicodeDecodeError"),
        ("garble", ""),
        ("boast", ""),
        ("nothing", ""),
        ("less than nothing", ""),
    ],
)
async def test_a_child_that_breaks_or_lies_loses_only_its_own_job(start_pool: StartPool, deed: str, why: str) -> None:
    """RenderCrashed with the cause in private, none of it in public; a new child takes over."""
    pool = await start_pool(children=1)
    with pytest.raises(RenderCrashed) as caught:
        await say(pool, f"do:{deed}")
    assert why in caught.value.private
    assert "child" not in caught.value.detail
    assert await say(pool, "say:next") == "next"
    assert pool.facts.crashed == 1


async def test_a_memory_bomb_ends_at_the_limit_of_its_job(start_pool: StartPool) -> None:
    """The predicted memory and some slack, then no more; the machine never feels it."""
    pool = await start_pool(children=1)
    with pytest.raises(PictureTooLarge):
        await say(pool, "do:leak")
    assert await say(pool, "say:next") == "next"


async def test_the_death_of_the_fork_server_costs_no_job(start_pool: StartPool) -> None:
    """Children outlive it, and the new one replaces those that die later."""
    pool = await start_pool(children=1)
    pid = int(await say(pool, "pid:"))
    fork_server = parent_of(pid)
    running = asyncio.create_task(say(pool, "do:nap"))
    await asyncio.sleep(0)
    pidfd = os.pidfd_open(fork_server)
    os.kill(fork_server, signal.SIGKILL)
    assert await asyncio.to_thread(wait_for_end, [pidfd])
    assert await running == "open"
    assert int(await say(pool, "pid:")) == pid
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end([pidfd])
    newer = int(await say(pool, "pid:"))
    assert newer != pid
    assert parent_of(newer) != fork_server


GATEWAY = f"""
import asyncio
from countermark.render.pool import RenderPool
from countermark.settings.model import RenderSettings
from tests.render_wall.conftest import say

async def main():
    pool = await RenderPool.start(RenderSettings(children=2), {{}}, "{ENGINES}:Engine", "{ENGINES}:prepare")
    first = await say(pool, "pid:")
    hung = asyncio.create_task(say(pool, "do:HANG"))
    await asyncio.sleep(0)
    print(first, await say(pool, "pid:"), flush=True)
    await hung

asyncio.run(main())
"""


def gateway(source: str, *wrapper: str) -> subprocess.Popen[str]:
    """Another gateway process; it prints the pid of its first child, which then hangs, and that of its second."""
    path = [entry for entry in sys.path if entry] + [str(Path(__file__).parents[2])]
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("hang", ["hang", "sleep"])
def test_no_process_outlives_a_gateway_that_dies_hard(hang: str) -> None:
    """Neither the fork server, nor an idle child, nor one that hangs in C."""
    with gateway(GATEWAY.replace("HANG", hang)) as process:
        assert process.stdout
        children = [int(pid) for pid in process.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in [*children, parent_of(children[0])]]
        process.kill()
        assert wait_for_end(pidfds)


def test_a_hang_ends_by_itself_when_gateway_and_fork_server_are_both_gone() -> None:
    """The alarm inside the child needs nobody else."""
    with gateway(GATEWAY.replace("HANG", "hang").replace("children=2", "children=2, deadline=0.5")) as process:
        assert process.stdout
        children = [int(pid) for pid in process.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in children]
        fork_server = parent_of(children[0])
        process.send_signal(signal.SIGSTOP)
        os.kill(fork_server, signal.SIGKILL)
        assert select.select(pidfds[:1], [], [], 20)[0]
        process.kill()
        assert wait_for_end(pidfds)


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_the_wall_stands_for_an_ordinary_user_too() -> None:
    """uid 65532, as in the container; it keeps nothing of root's but the reading of files, for the interpreter's sake."""
    source = GATEWAY.replace("do:HANG", "do:read file").replace("await hung", "print(os.getuid(), await hung)")
    capability = "-all,+dac_read_search"
    ordinary = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", f"--inh-caps={capability}")
    with gateway(f"import os\n{source}", *ordinary, f"--ambient-caps={capability}") as process:
        assert process.stdout
        assert process.stdout.read().splitlines()[1:] == ["65532 denied 13"]


def test_uvloop_serves_the_pool_as_well() -> None:
    """The gateway's own event loop."""

    async def main() -> None:
        pool = await RenderPool.start(RenderSettings(children=2), {}, f"{ENGINES}:Engine", f"{ENGINES}:prepare")
        try:
            assert await asyncio.gather(*(say(pool, f"say:{n}") for n in range(20))) == [str(n) for n in range(20)]
            with pytest.raises(RenderDeadline):
                await say(pool, "do:hang", seconds=0.2)
            with pytest.raises(RenderCrashed):
                await say(pool, "do:segv")
            assert await say(pool, "say:next") == "next"
        finally:
            await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_a_cancelled_waiter_gives_up_its_place(start_pool: StartPool) -> None:
    """Its picture is never rendered, and those behind it move up."""
    pool = await start_pool(children=1)
    running = asyncio.create_task(say(pool, "do:nap"))
    await asyncio.sleep(0)
    waiters = [asyncio.create_task(say(pool, f"say:{n}")) for n in range(3)]
    await asyncio.sleep(0)
    assert pool.facts.waiting == 3
    waiters[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]
    assert pool.facts.waiting == 2
    assert await asyncio.gather(running, *waiters[1:]) == ["open", "1", "2"]
    assert pool.facts.rendered == 3


async def test_a_caller_cancelled_while_it_is_rendered_costs_no_child(start_pool: StartPool) -> None:
    """The child ends that job for nobody and takes the next one."""
    pool = await start_pool(children=1)
    pid = await say(pool, "pid:")
    running = asyncio.create_task(say(pool, "do:nap"))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pool.facts.busy == 1
    assert await say(pool, "pid:") == pid
    assert (pool.facts.rendered, pool.facts.parcels) == (3, 0)


async def test_children_come_when_there_is_a_line(start_pool: StartPool) -> None:
    """One stands ready; the others are forked on demand, never more than the settings say."""
    pool = await start_pool(children=3)
    assert pool.facts.children == 1
    await asyncio.gather(*(say(pool, "do:nap") for _ in range(12)))
    assert pool.facts.children == 3
    assert pool.facts.spawned == 3


async def test_a_child_is_replaced_after_its_share_of_jobs(
    start_pool: StartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recycling is counted and costs no job."""
    monkeypatch.setattr(pool_module, "JOBS", 5)
    pool = await start_pool(children=1)
    pids = [await say(pool, "pid:") for _ in range(15)]
    assert len(set(pids)) == 3
    assert pool.facts.recycled == 3
    assert pool.facts.crashed == 0


async def test_a_child_that_keeps_too_much_memory_is_replaced(
    start_pool: StartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is on what is resident after a job."""
    monkeypatch.setattr(pool_module, "RESIDENT", 2**20)
    pool = await start_pool(children=1)
    pids = [await say(pool, "pid:") for _ in range(3)]
    assert len(set(pids)) == 3


async def test_two_hundred_jobs_leave_no_descriptor_open(start_pool: StartPool) -> None:
    """Neither in the gateway nor in the child, whether they succeed, are refused or are killed."""
    pool = await start_pool(children=1)

    async def round_of_jobs(count: int) -> tuple[str, int]:
        for _ in range(count):
            assert await say(pool, "say:fine") == "fine"
            with pytest.raises(PictureTooLarge):
                await render(pool, b"large:")
        lowest = await say(pool, "descriptor:")
        with pytest.raises(RenderCrashed):
            await say(pool, "do:segv")
        with pytest.raises(RenderDeadline):
            await say(pool, "do:hang", seconds=0.05)
        assert await say(pool, "descriptor:") == lowest
        return lowest, len(os.listdir("/proc/self/fd"))

    assert await round_of_jobs(5) == await round_of_jobs(100)


async def test_a_short_burst_is_served_whole(start_pool: StartPool) -> None:
    """A hundred at once on an idle gateway: all of them, though most of them wait longer than the target."""
    pool = await start_pool(children=2, queue_delay=0.2)
    assert await asyncio.gather(*(say(pool, f"do:{deed}") for deed in ["nap"] * 20 + ["other prctl"] * 80)) == [
        *["open"] * 20,
        *["denied 22"] * 80,
    ]
    assert pool.facts.shed == 0


async def test_lasting_overload_is_shed_and_the_rest_is_served(start_pool: StartPool) -> None:
    """More work than one child can do, for longer than the bound: some get Overloaded, many are served, then all."""
    pool = await start_pool(children=1, queue_delay=0.1)
    tasks = []
    while not pool.facts.shed:
        tasks += [asyncio.create_task(say(pool, "do:nap")) for _ in range(3)]
        await asyncio.wait([tasks[-1]], timeout=0.05)
    for _ in range(10):
        tasks += [asyncio.create_task(say(pool, "do:nap")) for _ in range(3)]
        await asyncio.wait([tasks[-1]], timeout=0.05)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    shed = [error for error in results if isinstance(error, Overloaded)]
    assert len(shed) == pool.facts.shed
    assert all(error.retry_after >= 1 for error in shed)
    assert results.count("open") == len(results) - len(shed)
    assert results.count("open") >= 10
    assert await say(pool, "say:calm") == "calm"


async def test_closing_tells_everybody_and_leaves_no_process() -> None:
    """Waiting and running jobs are answered; fork server and children end."""
    pool = await RenderPool.start(RenderSettings(children=1), {}, f"{ENGINES}:Engine", f"{ENGINES}:prepare")
    pid = int(await say(pool, "pid:"))
    pidfds = [os.pidfd_open(pid), os.pidfd_open(parent_of(pid))]
    tasks = [asyncio.create_task(say(pool, "do:hang")) for _ in range(3)]
    await asyncio.sleep(0)
    await pool.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Overloaded) for result in results)
    assert wait_for_end(pidfds)
    with pytest.raises(Overloaded):
        await say(pool, "say:late")


async def test_an_engine_that_cannot_be_imported_is_named_at_the_start() -> None:
    """Not a hang, not a traceback from another process."""
    with pytest.raises(ConfigurationInvalid, match="no_such_engine"):
        await RenderPool.start(RenderSettings(), {}, "no_such_engine:Engine", f"{ENGINES}:prepare")


async def test_a_foreign_parcel_is_a_mistake_of_the_caller(start_pool: StartPool) -> None:
    """The wall takes nothing whose bounds it does not know."""
    pool = await start_pool(children=1)
    with pytest.raises(TypeError):
        await pool.render(object(), recipe())  # type: ignore[arg-type]
