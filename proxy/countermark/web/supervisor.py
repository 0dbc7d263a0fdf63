"""The supervisor: it owns the listening socket and the workers, and decodes no picture and serves no client itself.

start      bind, start the workers, wait until all are ready, or exit
SIGHUP     load the whole configuration; start new workers with it; when all are ready, drain the old ones.
           Whatever fails before that moment leaves the old ones serving
a death    the worker is replaced at once; one that dies while it starts, after a growing pause
SIGTERM    drain all workers, then exit 0
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Literal, get_args

import structlog
import uvloop

from countermark import __version__
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.model import Settings
from countermark.signing.cautions import Caution, Name
from countermark.telemetry import log as logging
from countermark.telemetry.tally import Snapshot, Tally, departed, total
from countermark.web import admin, listen
from countermark.web.control import Ask, Channel, FromWorker, Orders, Ready, Report, supervisor_end

Load = Callable[[], Settings]
Look = Callable[[Settings], Sequence[Caution]]

WORKER = (sys.executable, "-m", "countermark.cli.worker")

START_SECONDS = 60.0
LONGEST_PAUSE = 5.0
REPORT_WAIT = 0.25

# What a worker may take beyond its drain time-out to close its origins, caches and render children.
CLOSE_SECONDS = 5.0

log = structlog.get_logger("countermark.supervisor")


def serve(load: Load, *, look: Look = lambda settings: (), command: Sequence[str] = WORKER) -> int:
    """Serve until told to stop; the exit status. Raises ConfigurationInvalid when it cannot start.

    `look` finds what weakens new settings; that is logged and counted. `command` starts a worker; two
    descriptors are appended to it: the listening socket and the control channel.
    """
    return uvloop.run(_serve(load, look, command))


async def _serve(load: Load, look: Look, command: Sequence[str]) -> int:
    settings = load()
    logging.configure(settings.log, process="supervisor")
    found = look(settings)
    listener = listen.inherited(os.environ) or listen.bind(settings.server.listen, setting="server.listen")
    admin_listener = listen.bind(settings.server.admin, setting="server.admin")
    supervisor = Supervisor(settings, load=load, look=look, command=command, listener=listener)
    supervisor.tell(found)
    runner = await admin.start(admin_listener, supervisor)
    try:
        return await supervisor.run(admin_name=listen.name(admin_listener))
    finally:
        await runner.cleanup()


class Worker:
    """A worker process as the supervisor sees it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel[FromWorker]) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.leaving = False
        self.last = Report(snapshot=Snapshot(), reasons=("starting",))
        self._channel = channel
        self._reported = asyncio.Event()

    async def listen(self) -> None:
        """Take its messages until it has gone."""
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, Ready):
                self.last = Report(snapshot=self.last.snapshot)
                self.ready.set()
            else:
                self.last = message
                self._reported.set()
        await self._channel.close()
        await self.process.wait()

    async def ask(self) -> None:
        """Have a fresh report in `last`, if it comes in time."""
        self._reported.clear()
        self._channel.send(Ask())
        try:
            async with asyncio.timeout(REPORT_WAIT):
                await self._reported.wait()
        except TimeoutError:
            return

    @property
    def state(self) -> Literal["starting", "ready", "draining"]:
        if self.leaving:
            return "draining"
        return "ready" if self.ready.is_set() and not self.ended.is_set() else "starting"

    def leave(self) -> None:
        """Tell it to drain."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        self.leaving = True
        if self.process.returncode is None:
            self.process.send_signal(number)


class Supervisor:
    """Workers, the settings they run with, and the sum of their numbers."""

    def __init__(
        self, settings: Settings, *, load: Load, look: Look, command: Sequence[str], listener: socket.socket
    ) -> None:
        self._settings = settings
        self._load = load
        self._look = look
        self._cautions: Counter[str] = Counter()
        self._command = tuple(command)
        self._listener = listener
        self._instance = secrets.token_hex(16)
        self._workers: list[Worker] = []
        self._departed = Snapshot()
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tally = Tally()
        self._tally.watch("build_info", __version__, read=lambda: 1)
        for state in ("starting", "ready", "draining"):
            self._tally.watch("workers", state, read=partial(self._count, state))
        for name in get_args(Name):
            self._tally.watch("cautions", name, read=partial(self._cautioned, name))

    def tell(self, found: Sequence[Caution]) -> None:
        """Log what weakens the present settings, and count it for /metrics."""
        self._cautions = Counter(caution.name for caution in found)
        for caution in found:
            log.warning(caution.name, message=caution.message)

    async def run(self, *, admin_name: str) -> int:
        """Start, and serve until told to stop; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        workers = await self._start(self._settings)
        if workers:
            log.info("serving", listen=listen.name(self._listener), admin=admin_name, workers=len(workers))
        elif not self._stop.is_set():
            log.error("workers did not start")
            return 1
        while not self._stop.is_set():
            await _first(self._stop.wait(), self._reload.wait())
            if self._reload.is_set() and not self._stop.is_set():
                self._reload.clear()
                await self._take_new_settings()
        log.info("draining")
        self._listener.close()  # the workers have theirs; new clients are refused and go elsewhere
        await asyncio.gather(*(self._dismiss(worker) for worker in tuple(self._workers)))
        return 0

    async def snapshot(self) -> Snapshot:
        """The sum over all workers, living and dead, fresh where they answer in time."""
        await asyncio.gather(*(worker.ask() for worker in tuple(self._workers)))
        return total([self._departed, self._tally.snapshot(), *(worker.last.snapshot for worker in self._workers)])

    async def reasons(self) -> list[str]:
        """Why the gateway should get no requests now; empty when it should."""
        if self._stop.is_set():
            return ["draining"]
        serving = [worker for worker in self._workers if worker.state == "ready"]
        if not serving:
            return ["no worker is ready"]
        await asyncio.gather(*(worker.ask() for worker in serving))
        return sorted({reason for worker in serving for reason in worker.last.reasons})

    def _cautioned(self, name: str) -> int:
        return self._cautions[name]

    def _count(self, state: str) -> int:
        return sum(worker.state == state for worker in self._workers)

    async def _take_new_settings(self) -> None:
        """Whole or not at all."""
        try:
            settings = self._load()
            _check_same_sockets(settings, self._settings)
            found = self._look(settings)
        except ConfigurationInvalid as invalid:
            for fault in invalid.faults:
                log.error("configuration fault", fault=str(fault))
            self._keep_old("configuration refused")
            return
        old = tuple(self._workers)
        if not await self._start(settings):
            self._keep_old("new workers did not start")
            return
        self._settings = settings
        logging.configure(settings.log, process="supervisor")
        self.tell(found)
        self._tally.add("reloads", "good")
        log.info("reloaded")
        for worker in old:
            self._run(self._dismiss(worker))

    def _keep_old(self, reason: str) -> None:
        self._tally.add("reloads", "bad")
        log.error("reload failed, the old configuration stays", reason=reason)

    async def _start(self, settings: Settings) -> list[Worker]:
        """New workers, all ready, or none. Those that are replaced when they die are those of the present settings."""
        workers = [await self._spawn(settings) for _ in range(_worker_count(settings))]
        await _first(
            asyncio.gather(*(worker.ready.wait() for worker in workers)),
            *(worker.ended.wait() for worker in workers),
            self._stop.wait(),
            asyncio.sleep(START_SECONDS),
        )
        if all(worker.state == "ready" for worker in workers):
            for worker in workers:
                self._run(self._look_after(worker, settings))
            return workers
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.ended.wait() for worker in workers))
        return []

    async def _spawn(self, settings: Settings) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (self._listener.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *self._command, *map(str, descriptors), pass_fds=descriptors, stdin=subprocess.DEVNULL
            )
        channel = await supervisor_end(ours)
        channel.send(Orders(settings=settings, instance=self._instance))
        worker = Worker(process, channel)
        self._workers.append(worker)
        self._run(self._listen_to(worker))
        return worker

    async def _listen_to(self, worker: Worker) -> None:
        await worker.listen()
        self._workers.remove(worker)
        # In one step with the removal, so that no scrape sees its numbers twice or not at all.
        self._departed = departed([self._departed, worker.last.snapshot])
        worker.ended.set()

    async def _look_after(self, worker: Worker, settings: Settings) -> None:
        """Replace a worker whenever it dies, as long as its settings are the present ones."""
        deaths = 0
        while True:
            await worker.ended.wait()
            if worker.leaving or self._stop.is_set():
                return
            log.error("worker died", pid=worker.process.pid, status=worker.process.returncode)
            self._tally.add("worker_deaths")
            deaths = 0 if worker.ready.is_set() else deaths + 1
            if deaths:
                await _first(self._stop.wait(), asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2**deaths)))
            if self._stop.is_set() or settings is not self._settings:
                return
            worker = await self._spawn(settings)

    async def _dismiss(self, worker: Worker) -> None:
        worker.leave()
        await _first(worker.ended.wait(), asyncio.sleep(self._settings.server.drain_timeout + CLOSE_SECONDS))
        if not worker.ended.is_set():
            log.error("worker did not leave", pid=worker.process.pid)
            worker.kill()
            await worker.ended.wait()
        log.info("worker left", pid=worker.process.pid, status=worker.process.returncode)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _worker_count(settings: Settings) -> int:
    workers = settings.server.workers
    return min(4, len(os.sched_getaffinity(0))) if workers == "auto" else workers


def _check_same_sockets(new: Settings, old: Settings) -> None:
    faults = [
        Fault(path=f"server.{key}", message="cannot change without a restart")
        for key in ("listen", "admin")
        if getattr(new.server, key) != getattr(old.server, key)
    ]
    if faults:
        raise ConfigurationInvalid(faults)


async def _first(*waits: Awaitable[Any]) -> None:
    """Wait for one and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
