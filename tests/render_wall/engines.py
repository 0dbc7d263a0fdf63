"""Engines for the tests of the wall: a tiny libvips one, which also does evil when the original's bytes say so."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import pyvips
from msgspec import Struct, structs

from countermark.core.errors import PictureTooLarge
from countermark.imaging.operations import Recipe
from countermark.render import seccomp, wire


class Made(Struct, frozen=True, kw_only=True):
    body: bytes
    format: str
    width: int
    height: int


def prepare() -> None:
    """Nothing to block in a test."""


def _blind(call: str, number: int, refusal: int) -> None:
    """Make the kernel look as if it lacked a system call, by a filter of our own in front of it."""
    machine = seccomp.this_machine()
    assert machine is not None
    blinkered = structs.replace(machine, calls={call: number})
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    code = seccomp.assemble(blinkered, {call: seccomp.refuse(refusal)}, (), seccomp.ALLOW)
    seccomp.install(libc, machine, code)


def prepare_without_landlock() -> None:
    """As on a kernel before 5.13."""
    _blind("landlock_create_ruleset", 444, errno.ENOSYS)


def prepare_without_namespaces() -> None:
    """As under the default profile of a container engine."""
    machine = seccomp.this_machine()
    assert machine is not None
    _blind("unshare", machine.calls["unshare"], errno.EPERM)


def prepare_without_rlimits() -> None:
    """As where a supervisor forbids it."""
    machine = seccomp.this_machine()
    assert machine is not None
    _blind("prlimit64", machine.calls["prlimit64"], errno.EPERM)


def prepare_without_seccomp() -> None:
    """As on a kernel built without filters."""
    machine = seccomp.this_machine()
    assert machine is not None
    _blind("seccomp", machine.seccomp, errno.ENOSYS)


def prepare_with_a_thread() -> None:
    """What a careless preparation does: libvips starts its threads."""
    pyvips.Image.gaussnoise(500, 500).avg()


def _write_and_execute() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _make_code_executable() -> None:
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    _libc_call("mprotect", ctypes.c_void_p(address), ctypes.c_size_t(4096), 5)


def _libc_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))


def _garble() -> None:
    """Write nonsense wherever it can be written, the socket to the gateway among it."""
    for descriptor in range(3, 16):
        with suppress(OSError):
            os.write(descriptor, b"\xc1 nonsense")


def _lie(size: int) -> None:
    """Say that so much is in the output file."""
    lie = wire.write(wire.Done(format="jpeg", width=1, height=1, body=b"", size=size, seconds=0.0, resident=0))
    for descriptor in range(3, 16):
        with suppress(OSError):
            os.write(descriptor, lie)


def _leak() -> None:
    held = []
    while True:
        held.append(bytearray(16 * 2**20))


DEEDS: dict[bytes, Callable[[], object]] = {
    b"read file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    b"write file": lambda: os.open("/tmp/countermark-escape", os.O_WRONLY | os.O_CREAT),
    b"stat file": lambda: os.stat("/etc/passwd"),
    b"tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(("127.0.0.1", 9)),
    b"udp": _udp,
    b"unix": lambda: socket.socketpair(),
    b"exec": lambda: os.execv("/bin/true", ["true"]),
    b"spawn": lambda: subprocess.run([sys.executable, "-c", ""], check=False),
    b"fork": os.fork,
    b"signal parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    b"own other": lambda: _libc_call("fcntl", 0, 8, os.getppid()),
    b"write and execute": _write_and_execute,
    b"make executable": _make_code_executable,
    b"other prctl": lambda: _libc_call("prctl", 38, 0, 0, 0, 0),
    b"segv": lambda: ctypes.string_at(0),
    b"abort": os.abort,
    b"hang": lambda: hashlib.pbkdf2_hmac("sha512", b"", b"", 2**31 - 1),
    b"sleep": lambda: time.sleep(10**6),
    b"leak": _leak,
    b"exit": lambda: os._exit(0),
    b"garble": _garble,
    b"boast": lambda: _lie(2**40),
    b"nothing": lambda: _lie(0),
    b"less than nothing": lambda: _lie(-1),
    b"nap": lambda: time.sleep(0.05),
    b"bug": lambda: 1 / 0,
    b"undecodable": lambda: b"\xff".decode(),
}


class Engine:
    """Thumbnails; or `do:NAME` in place of a picture does the deed, and says how it went if it still can."""

    def __init__(self, watermarks: dict[str, bytes]) -> None:
        self._watermarks = watermarks

    def render(self, source: bytes | mmap.mmap, recipe: Recipe) -> Made:
        order, _, rest = source[:64].partition(b":")
        if order == b"do":
            return self._do(rest)
        if order in (b"say", b"digest"):
            return _text(rest if order == b"say" else hashlib.sha256(source).digest())
        if order == b"watermark":
            return _text(self._watermarks[rest.decode()])
        if order == b"pid":
            return _text(str(os.getpid()).encode())
        if order == b"descriptor":
            lowest = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 0)
            os.close(lowest)
            return _text(str(lowest).encode())
        if order == b"environment":
            return _text(" ".join(os.environ).encode())
        if order == b"big":
            return _text(b"x" * int(rest))
        if order == b"large":
            raise PictureTooLarge("Too many pixels.", private="the gate said so")
        image = pyvips.Image.thumbnail_source(
            pyvips.Source.new_from_memory(source), recipe.operations.width or 100, option_string="fail_on=truncated"
        )
        return Made(body=image.jpegsave_buffer(Q=80), format="jpeg", width=image.width, height=image.height)

    def _do(self, deed: bytes) -> Made:
        try:
            DEEDS[deed]()
        except OSError as error:
            return _text(f"denied {error.errno}".encode())
        return _text(b"open")


def _text(body: bytes) -> Made:
    return Made(body=body, format="text", width=1, height=1)
