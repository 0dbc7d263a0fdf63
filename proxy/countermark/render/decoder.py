"""The gateway's end of one render child."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec

from countermark.imaging.operations import Recipe
from countermark.render import wire

_EPITAPH_SECONDS = 0.2


class Decoder:
    """One child: its socket, its output file and its pidfd. It works on one job at a time.

    `hear` names who is told of each answer, and of the end (None). What a child says is not believed: an answer that
    cannot be read counts as its end. `ended` is resolved with its exit status once the fork server has told it.
    """

    def __init__(self, sock: socket.socket, output: int, pid: int, pidfd: int, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self.jobs = 0
        self._socket = sock
        self._output = output
        self._pidfd = pidfd
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._open = True

    def hear(self, listener: Callable[[wire.Answer | None], None]) -> None:
        """From now on. Called again, the listener is replaced."""
        self._loop.add_reader(self._socket, self._read, listener)

    def give(self, recipe: Recipe, original: bytes | int, size: int, seconds: float) -> None:
        """Send a job, with the sealed original. Raises OSError when the child is gone."""
        self.jobs += 1
        if isinstance(original, bytes):
            wire.send(self._socket, wire.Job(recipe, original, size, seconds))
        else:
            wire.send(self._socket, wire.Job(recipe, b"", size, seconds), (original,))

    def body(self, answer: wire.Done) -> bytes | None:
        """The result that the child says it has made; None when it lied."""
        return answer.body or self._taken_out(answer.size)

    def _taken_out(self, size: int) -> bytes | None:
        if not 0 < size <= os.fstat(self._output).st_size:
            return None
        body = os.pread(self._output, size, 0)
        os.ftruncate(self._output, 0)
        return body if len(body) == size else None

    def kill(self) -> None:
        """Now, whatever it does. By pidfd: a number could meanwhile belong to somebody else."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def epitaph(self) -> str:
        """How it ended, for the log; soon, or not at all."""
        await asyncio.wait([self._ended], timeout=_EPITAPH_SECONDS)
        if not self._ended.done():
            return f"render child {self.pid} is gone"
        status = self._ended.result()
        if status >= 0:
            return f"render child {self.pid} ended with status {status}"
        return f"render child {self.pid} was ended by {signal.Signals(-status).name}"

    def close(self) -> None:
        """Let go of it; an idle child ends by that."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket)
        self._socket.close()
        os.close(self._output)
        os.close(self._pidfd)

    def _read(self, listener: Callable[[wire.Answer | None], None]) -> None:
        try:
            # Without room for ancillary data, descriptors that a child might send are dropped by the kernel.
            packet = self._socket.recv(wire.PACKET)
            answer = wire.read_answer.decode(packet) if packet else None
        except BlockingIOError:
            return
        except (OSError, msgspec.DecodeError):
            answer = None
        if answer is None:
            self._loop.remove_reader(self._socket)
        listener(answer)
