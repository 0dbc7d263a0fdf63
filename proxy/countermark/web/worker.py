"""One worker process: it serves until it is told to stop or its supervisor dies, then drains."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, get_args

import structlog
import uvloop

from countermark.configuration import Configuration
from countermark.core.errors import ConfigurationInvalid
from countermark.settings.model import Settings
from countermark.telemetry import log as logging
from countermark.telemetry.events import EventSink
from countermark.web.acceptor import Acceptor
from countermark.web.control import CLOSE_SECONDS, Ask, Channel, Orders, Ready, Report, ToWorker, worker_end
from countermark.web.edge import Door, Edge
from countermark.web.guard import Cause, Guard, limits
from countermark.web.hops import announcers
from countermark.web.peers import Peers, open_peers
from countermark.web.problems import Denials
from countermark.web.roster import Berth, Roster

# Allocations between two collections of the youngest generation.
_COLLECT_AFTER = 20_000
_SWITCH_SECONDS = 0.0005

SWEEP_SECONDS = 0.25
REPORT_SECONDS = 1.0

# At a drain, an idle connection may bring its next request within this time and is told to close with the answer.
# Closing it at once would lose a request that is already on its way.
IDLE_GRACE = 5.0

# A supervisor that lives is to end a worker first.
_LATER_SECONDS = 1.0

# What was cut lets go of its work and is told to the log within this time.
CUT_SECONDS = 1.0

log = structlog.get_logger("countermark.web")


class Build(Protocol):
    """A configuration becomes a door. Raises ConfigurationInvalid for what only a start can find."""

    def __call__(self, configuration: Configuration, *, instance: str, telemetry: EventSink) -> Awaitable[Door]: ...


def run(*, listener: int, control: int, roster: int, build: Build, denials: Denials) -> int:
    """Work on inherited descriptors until stopped; the exit status."""
    # The terminal sends these to the whole group, but they are the supervisor's to understand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sockets = socket.socket(fileno=listener), socket.socket(fileno=control)
    return uvloop.run(_work(*sockets, Roster(roster), build, denials))


async def _work(listener: socket.socket, control: socket.socket, roster: Roster, build: Build, denials: Denials) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    channel = await worker_end(control)
    orders = await channel.receive()
    if not isinstance(orders, Orders):
        return 0
    settings = orders.configuration.settings
    logging.configure(settings.log, process=f"worker {os.getpid()}")
    telemetry = EventSink(settings.log)
    try:
        peers = open_peers(settings, orders.configuration.keyring)
        door = await build(orders.configuration, instance=orders.instance, telemetry=telemetry)
    except ConfigurationInvalid as invalid:
        for fault in invalid.faults:
            log.error("configuration fault", fault=str(fault))
        return 1
    _settle_collector()
    try:
        berth = Berth(roster, orders.place)
        await _Service(settings, door, peers, telemetry, channel, denials, berth).run(listener, stop)
    finally:
        await door.close()
        telemetry.close()
        await channel.close()
    return 0


def _settle_collector() -> None:
    """What stands now stays for good, and requests make few cycles: collecting often would only cost time."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    # The loop asks its threads for the interpreter ten times sooner than by default: under load they are several.
    sys.setswitchinterval(_SWITCH_SECONDS)


class _Service:
    """The running parts of a worker."""

    def __init__(
        self,
        settings: Settings,
        door: Door,
        peers: Peers,
        telemetry: EventSink,
        channel: Channel[ToWorker],
        denials: Denials,
        berth: Berth,
    ) -> None:
        self._door = door
        self._telemetry = telemetry
        self._channel = channel
        self._drain_timeout = settings.server.drain_timeout
        self._berth = berth
        self._guard = Guard(limits(settings.server), asyncio.get_running_loop().time, berth.tell)
        self._announces = announcers(settings.server.proxy_protocol)
        self._edge = Edge(
            door,
            ready=self._reasons,
            telemetry=telemetry,
            peers=peers,
            denials=denials,
            forward_auth=settings.server.forward_auth,
        )
        self._watch_connections()

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain."""
        acceptor = Acceptor(listener, self._guard, self._edge, self._announces, self._berth)
        acceptor.start()
        self._berth.tell(0)
        self._channel.send(Ready())
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(work) for work in (self._sweep(), self._report(), self._listen(stop))]
            await stop.wait()
            # Without a supervisor nobody would end a worker that hangs while it closes. It says where, too.
            faulthandler.dump_traceback_later(self._drain_timeout + CLOSE_SECONDS + _LATER_SECONDS, exit=True)
            await acceptor.stop()
            self._berth.leave()
            await self._drain()
            for task in background:
                task.cancel()
        self._channel.send(Report(snapshot=self._telemetry.snapshot(), reasons=("draining",)))

    async def _reasons(self) -> list[str]:
        if self._guard.draining:
            return ["draining"]
        return await self._door.ready()

    async def _listen(self, stop: asyncio.Event) -> None:
        while isinstance(await self._channel.receive(), Ask):
            await self._report_once()
        log.warning("the supervisor has gone")
        stop.set()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self._report_once()

    async def _report_once(self) -> None:
        self._channel.send(Report(snapshot=self._telemetry.snapshot(), reasons=tuple(await self._reasons())))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._guard.sweep()

    async def _drain(self) -> None:
        self._guard.draining = True
        grace = min(IDLE_GRACE, self._drain_timeout / 2)
        await self._until_empty(grace)
        self._guard.close_all_idle()
        await self._until_empty(self._drain_timeout - grace)
        if len(self._guard):
            log.warning("drain timed out", connections=len(self._guard))
            self._guard.cut_all()
            await self._until_empty(CUT_SECONDS)

    async def _until_empty(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._guard.empty()
        except TimeoutError:
            return

    def _watch_connections(self) -> None:
        guard, watch = self._guard, self._telemetry.watch
        watch("connections_accepted", read=lambda: guard.accepted)
        for state in guard.counts():
            watch("connections", state, read=partial(_value, guard.counts, state))
        for cause in get_args(Cause):
            watch("connections_ended", cause, read=partial(guard.ended.__getitem__, cause))


def _value(read: Callable[[], Mapping[str, int]], name: str) -> float:
    return read()[name]
