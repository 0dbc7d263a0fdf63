"""The supervisor: it owns the listening socket and the workers, and decodes no picture and serves no client itself.

start      bind, open the control plane, start the workers, wait until all are ready, or exit
SIGHUP     load the whole configuration; start new workers with it; when all are ready, drain the old ones, and let the
           admin API work with it. Whatever fails before that moment leaves the old ones serving
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
from msgspec.structs import replace

from countermark import __version__
from countermark.configuration import Configuration
from countermark.control.plane import ControlPlane
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.core.events import Severity
from countermark.keys.changes import changes
from countermark.rotation.file import Change
from countermark.rotation.turn import Turn
from countermark.settings.model import Settings
from countermark.signing.cautions import Name, cautions
from countermark.telemetry import log as logging
from countermark.telemetry.events import EventSink
from countermark.telemetry.tally import Snapshot, departed, total
from countermark.web import admin, listen
from countermark.web.admin_routes import WorkerFacts
from countermark.web.control import CLOSE_SECONDS, Ask, Channel, FromWorker, Orders, Ready, Report, supervisor_end
from countermark.web.roster import Berth, Roster

Load = Callable[[], Configuration]

BuildControl = Callable[[Configuration, EventSink], Awaitable[ControlPlane]]
"""Makes the control plane of a configuration. Raises ConfigurationInvalid for what only a start can find."""

WORKER = (sys.executable, "-m", "countermark.cli.worker")

START_SECONDS = 60.0
LONGEST_PAUSE = 5.0
REPORT_WAIT = 0.25

log = structlog.get_logger("countermark.supervisor")


def serve(load: Load, *, build_control: BuildControl, command: Sequence[str] = WORKER) -> int:
    """Serve until told to stop; the exit status. Raises ConfigurationInvalid when it cannot start.

    `command` starts a worker; three descriptors are appended to it: the listening socket, the control channel, the roster.
    """
    return uvloop.run(_serve(load, build_control, command))


async def _serve(load: Load, build_control: BuildControl, command: Sequence[str]) -> int:
    configuration = load()
    settings = configuration.settings
    logging.configure(settings.log, process="supervisor")
    listener = listen.inherited(os.environ) or listen.bind(settings.server.listen, setting="server.listen")
    admin_listener = listen.bind(settings.server.admin, setting="server.admin")
    telemetry = EventSink(replace(settings.log, requests=False))
    supervisor = Supervisor(
        configuration,
        control=await build_control(configuration, telemetry),
        load=load,
        build_control=build_control,
        command=command,
        listener=listener,
        telemetry=telemetry,
    )
    supervisor.caution()
    runner = await admin.start(admin_listener, supervisor)
    try:
        return await supervisor.run(admin_name=listen.name(admin_listener))
    finally:
        await runner.cleanup()
        await supervisor.control.close()


class Worker:
    """A worker process as the supervisor sees it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel[FromWorker], berth: Berth) -> None:
        self.process = process
        self.berth = berth
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
    """Workers, the configuration and the control plane of the present, and the sum of all numbers."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        control: ControlPlane,
        load: Load,
        build_control: BuildControl,
        command: Sequence[str],
        listener: socket.socket,
        telemetry: EventSink,
    ) -> None:
        self.configuration = configuration
        self.control = control
        self._load = load
        self._build_control = build_control
        self._command = tuple(command)
        self._listener = listener
        self._instance = secrets.token_hex(16)
        self._workers: list[Worker] = []
        self._departed = Snapshot()
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._telemetry = telemetry
        telemetry.watch("build_info", __version__, read=lambda: 1)
        for state in ("starting", "ready", "draining"):
            telemetry.watch("workers", state, read=partial(self._count, state))
        self._cautions: Counter[str] = Counter()
        for name in get_args(Name):
            telemetry.watch("cautions", name, read=partial(self._cautioned, name))

    def caution(self) -> None:
        """Log what weakens the present configuration, and count it for /metrics."""
        found = cautions(self.configuration.settings.sites, self.configuration.keyring)
        self._cautions = Counter(caution.name for caution in found)
        for caution in found:
            log.warning(caution.name, message=caution.message)

    async def run(self, *, admin_name: str) -> int:
        """Start, and serve until told to stop; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        workers = await self._start(self.configuration)
        if workers:
            log.info("serving", listen=listen.name(self._listener), admin=admin_name, workers=len(workers))
        elif not self._stop.is_set():
            log.error("workers did not start")
            return 1
        while not self._stop.is_set():
            await _first(self._stop.wait(), self._reload.wait())
            if self._reload.is_set() and not self._stop.is_set():
                self._reload.clear()
                await self.reload(actor="command")
        log.info("draining")
        self._listener.close()  # the workers have theirs; new clients are refused and go elsewhere
        await asyncio.gather(*(self._dismiss(worker) for worker in tuple(self._workers)))
        return 0

    async def snapshot(self) -> Snapshot:
        """The sum over all workers, living and dead, fresh where they answer in time."""
        await asyncio.gather(*(worker.ask() for worker in tuple(self._workers)))
        return total([self._departed, self._telemetry.snapshot(), *(worker.last.snapshot for worker in self._workers)])

    async def reasons(self) -> list[str]:
        """Why the gateway should get no requests now; empty when it should."""
        if self._stop.is_set():
            return ["draining"]
        serving = [worker for worker in self._workers if worker.state == "ready"]
        if not serving:
            return ["no worker is ready"]
        await asyncio.gather(*(worker.ask() for worker in serving))
        return sorted({reason for worker in serving for reason in worker.last.reasons})

    def workers(self) -> tuple[WorkerFacts, ...]:
        """Each worker as it last reported."""
        return tuple(
            WorkerFacts(pid=worker.process.pid, state=worker.state, reasons=worker.last.reasons)
            for worker in self._workers
        )

    def _cautioned(self, name: str) -> int:
        return self._cautions[name]

    def _count(self, state: str) -> int:
        return sum(worker.state == state for worker in self._workers)

    async def reload(self, *, actor: str) -> tuple[str, ...]:
        """Take all files anew, whole or not at all; the faults for which everything stays as it was."""
        async with self._reloading:
            return await self._renew(actor)

    async def turn_keys(self, turn: Turn, *, actor: str) -> tuple[tuple[Change, ...], tuple[str, ...]]:
        """Change the keyring file, and take all files anew if it changed; the changes, and the faults for which they do
        not count yet. Raises what the turn raises.
        """
        # No other reload comes between: it would take the change and tell it under another name.
        async with self._reloading:
            changed = await asyncio.to_thread(turn, self.configuration.settings)
            return changed, await self._renew(actor) if changed else ()

    async def _renew(self, actor: str) -> tuple[str, ...]:
        keys = self.configuration.keys
        try:
            faults = await self._take_new_configuration()
        except ConfigurationInvalid as invalid:
            faults = tuple(str(fault) for fault in invalid.faults)
            for fault in faults:
                log.error("configuration fault", fault=fault)
        if faults:
            self._telemetry.add("reloads", "bad")
            log.error("reload failed, the old configuration stays", reason=faults[0])
            self.control.note("configuration.refused", actor=actor, subject="configuration", severity="warning")
        else:
            self._telemetry.add("reloads", "good")
            log.info("reloaded")
            self.control.note("configuration.reloaded", actor=actor, subject="configuration")
            for change in changes(keys, self.configuration.keys):
                severity: Severity = "warning" if change.kind == "key.revoked" else "info"
                subject = f"key:{change.key_id}"
                self.control.note(change.kind, actor=actor, subject=subject, severity=severity, detail=change.detail)
        return faults

    async def _take_new_configuration(self) -> tuple[str, ...]:
        """The reason why not, if there is one that is no fault of a file. Raises ConfigurationInvalid."""
        # A key management service may keep it waiting, and the admin port shall answer meanwhile.
        configuration = await asyncio.to_thread(self._load)
        _check_same_sockets(configuration.settings, self.configuration.settings)
        control = await self._build_control(configuration, self._telemetry)
        old = tuple(self._workers)
        if not await self._start(configuration):
            await control.close()
            return ("new workers did not start",)
        self._run(self.control.close())
        self.configuration, self.control = configuration, control
        logging.configure(configuration.settings.log, process="supervisor")
        self.caution()
        for worker in old:
            self._run(self._dismiss(worker))
        return ()

    async def _start(self, configuration: Configuration) -> list[Worker]:
        """New workers, all ready, or none. Those that are replaced when they die are those of the present one."""
        count = _worker_count(configuration.settings)
        roster = Roster.create(count)
        workers = [await self._spawn(configuration, Berth(roster, place)) for place in range(count)]
        await _first(
            asyncio.gather(*(worker.ready.wait() for worker in workers)),
            *(worker.ended.wait() for worker in workers),
            self._stop.wait(),
            asyncio.sleep(START_SECONDS),
        )
        if all(worker.state == "ready" for worker in workers):
            for worker in workers:
                self._run(self._look_after(worker, configuration))
            return workers
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.ended.wait() for worker in workers))
        return []

    async def _spawn(self, configuration: Configuration, berth: Berth) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (self._listener.fileno(), theirs.fileno(), berth.descriptor)
            process = await asyncio.create_subprocess_exec(
                *self._command, *map(str, descriptors), pass_fds=descriptors, stdin=subprocess.DEVNULL
            )
        channel = await supervisor_end(ours)
        channel.send(Orders(configuration=configuration, instance=self._instance, place=berth.place))
        worker = Worker(process, channel, berth)
        self._workers.append(worker)
        self._run(self._listen_to(worker))
        return worker

    async def _listen_to(self, worker: Worker) -> None:
        await worker.listen()
        worker.berth.leave()  # which a killed one could not
        self._workers.remove(worker)
        # In one step with the removal, so that no scrape sees its numbers twice or not at all.
        self._departed = departed([self._departed, worker.last.snapshot])
        worker.ended.set()

    async def _look_after(self, worker: Worker, configuration: Configuration) -> None:
        """Replace a worker whenever it dies, as long as its configuration is the present one."""
        deaths = 0
        while True:
            await worker.ended.wait()
            if worker.leaving or self._stop.is_set():
                return
            log.error("worker died", pid=worker.process.pid, status=worker.process.returncode)
            self._telemetry.add("worker_deaths")
            deaths = 0 if worker.ready.is_set() else deaths + 1
            if deaths:
                await _first(self._stop.wait(), asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2**deaths)))
            if self._stop.is_set() or configuration is not self.configuration:
                return
            worker = await self._spawn(configuration, worker.berth)

    async def _dismiss(self, worker: Worker) -> None:
        worker.leave()
        patience = self.configuration.settings.server.drain_timeout + CLOSE_SECONDS
        await _first(worker.ended.wait(), asyncio.sleep(patience))
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
