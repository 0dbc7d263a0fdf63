"""The gateway's end of the fork server: starts it, asks it for children, starts it again when it died."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from contextlib import suppress

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.render import wire
from countermark.render.decoder import Decoder
from countermark.render.sandbox import WAIVER

_START_SECONDS = 30.0
_END_SECONDS = 5.0
# Of the environment only what a decoder may know: credentials live in the rest of it.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_CONF")
_ENVIRONMENT_PREFIXES = ("VIPS_", "PYTHON")

# By default glibc gives each picture's buffers back to the kernel and faults them in again for the next: 8 % of the time
# of a 2.4 MB JPEG. A child keeps them; it is replaced when they are too many (pool.RESIDENT).
_GLIBC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**24),
}
# numpy, which comes with the JPEG decoder, would start a thread for each core; the fork server may have none.
_SINGLE = {"OPENBLAS_NUM_THREADS": "1"}

# A child's pid, its pidfd, and its exit status to come.
Birth = tuple[int, int, asyncio.Future[int]]


class Nursery:
    """One fork server at a time. Children outlive it: its death costs no job."""

    def __init__(self, upbringing: wire.Upbringing) -> None:
        self._upbringing = upbringing
        self._loop = asyncio.get_running_loop()
        self._serials = itertools.count()
        self._births: dict[int, asyncio.Future[Birth]] = {}
        self._deaths: dict[int, asyncio.Future[int]] = {}
        self._starting = asyncio.Lock()
        self._revival: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def spawn(self) -> Decoder:
        """A child that is locked and ready. Raises ConfigurationInvalid where it says why it cannot be, else OSError."""
        control = await self._server()
        ours, theirs = wire.pair()
        output = os.memfd_create("result", os.MFD_CLOEXEC)
        try:
            with theirs:
                pid, pidfd, ended = await self._fork(control, theirs, output)
        except BaseException:
            ours.close()
            os.close(output)
            raise
        decoder = Decoder(ours, output, pid, pidfd, ended)
        try:
            await self._ready(decoder)
        except BaseException:
            decoder.kill()
            decoder.close()
            raise
        return decoder

    async def close(self) -> None:
        """End the fork server, and with it whatever children are left."""
        if self._revival:
            self._revival.cancel()
            await asyncio.wait([self._revival])
        await _reap(self._lose())

    async def _server(self) -> socket.socket:
        async with self._starting:
            if self._control is None:
                self._control = await self._start()
            return self._control

    async def _start(self) -> socket.socket:
        ours, theirs = wire.pair()
        with theirs:
            self._process = _execute(theirs, self._upbringing)
        try:
            await self._listening(ours)
        except BaseException:
            ours.close()
            self._process.kill()
            self._process.wait()
            raise
        self._loop.add_reader(ours, self._read, ours)
        return ours

    async def _listening(self, control: socket.socket) -> None:
        async with asyncio.timeout(_START_SECONDS):
            packet = await _first(control)
        word = wire.read_word.decode(packet) if packet else wire.Unable("The fork server ended while it started.")
        if isinstance(word, wire.Unable):
            raise ConfigurationInvalid([Fault(path="render", message=word.message)])

    async def _fork(self, control: socket.socket, theirs: socket.socket, output: int) -> Birth:
        serial = next(self._serials)
        birth: asyncio.Future[Birth] = self._loop.create_future()
        self._births[serial] = birth
        try:
            wire.send(control, wire.Fork(serial), (theirs.fileno(), output))
            async with asyncio.timeout(_START_SECONDS):
                return await birth
        finally:
            self._births.pop(serial, None)

    async def _ready(self, decoder: Decoder) -> None:
        heard: asyncio.Queue[wire.Answer | None] = asyncio.Queue()
        decoder.hear(heard.put_nowait)
        async with asyncio.timeout(_START_SECONDS):
            answer = await heard.get()
        if isinstance(answer, wire.Unable):
            raise ConfigurationInvalid([Fault(path=WAIVER, message=answer.message)])
        if not isinstance(answer, wire.Ready):
            raise ChildProcessError(await decoder.epitaph())

    def _read(self, control: socket.socket) -> None:
        try:
            packet, descriptors = wire.receive(control, 1)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        if not packet:
            self._revival = self._loop.create_task(self._revive(self._lose()))
            return
        word = wire.read_word.decode(packet)
        if isinstance(word, wire.Forked):
            self._born(word, descriptors[0])
        elif isinstance(word, wire.Ended):
            self._died(word)

    def _born(self, word: wire.Forked, pidfd: int) -> None:
        ended = self._deaths[word.pid] = self._loop.create_future()
        birth = self._births.get(word.serial)
        if birth is None or birth.done():
            os.close(pidfd)  # nobody waits any more; the closed socket ends the child
            return
        birth.set_result((word.pid, pidfd, ended))

    def _died(self, word: wire.Ended) -> None:
        self._deaths.pop(word.pid).set_result(word.status)

    def _lose(self) -> subprocess.Popen[bytes] | None:
        """Forget the fork server, whose process is still to be reaped."""
        if self._control is None:
            return None
        self._loop.remove_reader(self._control)
        self._control.close()
        self._control = None
        self._deaths.clear()
        for birth in self._births.values():
            if not birth.done():
                birth.set_exception(ConnectionResetError("the fork server died"))
        process, self._process = self._process, None
        return process

    async def _revive(self, dead: subprocess.Popen[bytes] | None) -> None:
        await _reap(dead)
        # Should this fail too, the next spawn tries again and tells its caller why.
        with suppress(OSError, ConfigurationInvalid):
            await self._server()


def _execute(control: socket.socket, upbringing: wire.Upbringing) -> subprocess.Popen[bytes]:
    # A file rather than arguments: watermarks are large, and arguments are public.
    with os.fdopen(os.memfd_create("upbringing", os.MFD_CLOEXEC), "w+b") as page:
        page.write(wire.write(upbringing))
        page.seek(0)
        descriptors = (control.fileno(), page.fileno())
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "countermark.render.forkserver", *map(str, descriptors)],
            pass_fds=descriptors,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            # The terminal's Ctrl-C is for the gateway, which then drains. Not a session of its own: Linux shares the
            # processor out by session first (autogroup, sched(7)), and `child.NICE` would yield to nobody outside it.
            process_group=0,
        )


async def _reap(process: subprocess.Popen[bytes] | None) -> None:
    if process:
        await asyncio.to_thread(_await_end, process)


def _await_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    # jemalloc's background thread would not survive the fork, and the sandbox takes none; of two settings the last counts.
    if "MALLOC_CONF" in kept:
        kept["MALLOC_CONF"] += ",background_thread:false"
    return kept | _GLIBC | _SINGLE | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


async def _first(sock: socket.socket) -> bytes:
    """The first packet of a socket that does not wait; b"" at its end."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
    return sock.recv(wire.PACKET)
