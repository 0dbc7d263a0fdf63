"""A render child: one process, one job at a time, behind the sandbox."""

from __future__ import annotations

import importlib
import mmap
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NoReturn, Protocol

from countermark.core.errors import ConfigurationInvalid, PictureError, PictureTooLarge
from countermark.imaging.operations import Recipe
from countermark.render import sandbox, wire

# Two thirds of the event loop's share. Measured at three times the load: with 3 a 503 comes within 15 to 37 ms (p99) and 0.81
# to 0.97 of the capacity is left, with 2 within 23 to 77 ms and 0.87 to 1.0, with 1 it is no better.
NICE = 2

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Above the predicted cost of a picture: the libraries' own, and for each core two arenas and the stack of a thread.
_SLACK = 256 * 2**20 + (os.cpu_count() or 1) * 32 * 2**20
_OVERDUE = 1.0
# Copying so much takes less than mapping it.
_COPIED = 2**20


class Made(Protocol):
    """What an engine makes."""

    @property
    def body(self) -> bytes: ...
    @property
    def format(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class Engine(Protocol):
    """Turns an original into a rendition; raises PictureError for originals that it refuses."""

    def render(self, source: bytes | mmap.mmap, recipe: Recipe) -> Made: ...


class Memory:
    """This process's memory, read through a file opened before the sandbox closed the file system."""

    def __init__(self) -> None:
        self.descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def resident(self) -> int:
        """Private resident bytes."""
        fields = self._fields()
        return (fields[1] - fields[2]) * _PAGE

    def writable(self) -> int:
        """Private writable bytes, as RLIMIT_DATA counts them."""
        return self._fields()[5] * _PAGE

    def _fields(self) -> list[int]:
        return [int(field) for field in os.pread(self.descriptor, 256, 0).split()]


def load(name: str) -> Callable[..., object]:
    """The object that MODULE:NAME names. Raises ImportError or AttributeError."""
    module, _, attribute = name.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), attribute)
    return found


def live(sock: socket.socket, output: int, upbringing: wire.Upbringing) -> NoReturn:
    """Be a render child until the socket ends. Called right after the fork; never returns."""
    status = 1
    try:
        status = _live(sock, output, upbringing)
    finally:
        # Not sys.exit: nothing of the fork server's may run or be flushed here.
        os._exit(status)


def _live(sock: socket.socket, output: int, upbringing: wire.Upbringing) -> int:
    memory = Memory()
    _let_go({sock.fileno(), output, memory.descriptor})
    _yield_to_others()
    try:
        load(upbringing.prepare)()
        report = sandbox.lock(upbringing.waived, memory=memory.writable() + upbringing.memory + 2 * _SLACK)
        engine: Engine = load(upbringing.engine)(upbringing.watermarks)  # type: ignore[assignment]
    except ConfigurationInvalid as error:
        wire.send(sock, wire.Unable("\n".join(fault.message for fault in error.faults)))
        return 1
    except Exception as error:  # noqa: BLE001 - an engine may raise anything
        wire.send(sock, wire.Unable(f"The render child could not prepare itself: {error!r}"[: wire.PACKET // 2]))
        return 1
    wire.send(sock, wire.Ready())
    while True:
        packet, descriptors = wire.receive(sock, 1)
        if not packet:
            return 0
        job = wire.read_job(packet)
        if "rlimits" in report.standing:
            _bound_memory(memory.writable() + job.recipe.limits.memory + _SLACK)
        answer = _work(job, descriptors, output, engine, memory)
        wire.send(sock, answer)
        if isinstance(answer, wire.Failed) and not answer.reason:
            return 1


def _work(job: wire.Job, beside: list[int], output: int, engine: Engine, memory: Memory) -> wire.Done | wire.Failed:
    began = time.perf_counter()
    # The gateway kills at the deadline. Should it have died meanwhile, this alarm ends a hang, in C code too.
    signal.setitimer(signal.ITIMER_REAL, job.seconds + _OVERDUE)
    try:
        made = engine.render(job.body or _taken_out(beside[0], job.size), job.recipe)
        small = len(made.body) <= wire.SMALL
        size = 0 if small else _deliver(output, made.body)
    except PictureError as error:
        return wire.Failed(
            reason=error.reason, detail=error.detail[:1000], private=error.private[:4000], resident=memory.resident()
        )
    except MemoryError:
        return wire.Failed(
            reason=PictureTooLarge.reason,
            detail="The picture needs more memory than one render may have.",
            private="the render child's memory limit was reached",
            resident=memory.resident(),
        )
    except Exception as error:  # noqa: BLE001 - an engine may raise anything
        return wire.Failed(reason="", detail="", private=repr(error)[:4000], resident=memory.resident())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return wire.Done(
        format=made.format,
        width=made.width,
        height=made.height,
        body=made.body if small else b"",
        size=size,
        seconds=time.perf_counter() - began,
        resident=memory.resident(),
    )


def _bound_memory(size: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (min(size, most), most))


def _taken_out(original: int, size: int) -> bytes | mmap.mmap:
    try:
        if size <= _COPIED:
            return os.pread(original, size, 0)
        # MAP_PRIVATE: before Linux 6.7 a write-sealed file cannot be mapped MAP_SHARED. Nothing is copied either way.
        return mmap.mmap(original, size, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE, prot=mmap.PROT_READ)
    finally:
        os.close(original)


def _deliver(output: int, body: bytes) -> int:
    view = memoryview(body)
    while view:
        view = view[os.pwrite(output, view, len(body) - len(view)) :]
    return len(body)


def _let_go(keep: Collection[int]) -> None:
    """Close every descriptor but these: a child that holds a sibling's socket would keep it from its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    lowest = 3
    for descriptor in sorted(keep):
        os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def _yield_to_others() -> None:
    """Less processor than the event loop, and first in line when memory runs out."""
    os.nice(NICE)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
