"""The walls around a render child. Put up once, after the last import, and never taken down.

privileges   no_new_privs and an empty capability set; always there
namespaces   a user and a network namespace of its own: no route to anything
landlock     no files, no TCP, no abstract sockets, no signals
rlimits      no core dumps, few descriptors, bounded result file and memory
seccomp      only the system calls of `seccomp.py`
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Callable, Collection, Mapping

import msgspec
from msgspec import Struct

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.render import landlock, seccomp

WAIVABLE = ("namespaces", "landlock", "rlimits", "seccomp")
WAIVER = "render.unsafe_waive_sandbox"
RESULT = 256 * 2**20

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
_DESCRIPTORS = 64

_libc = ctypes.CDLL(None, use_errno=True)


class Report(Struct, frozen=True, kw_only=True):
    """Which layers stand (with a word about them), and which are missing (with the kernel's reason)."""

    standing: Mapping[str, str]
    missing: Mapping[str, str]


def lock(waived: Collection[str], *, memory: int) -> Report:
    """Lock this process for good. `memory` is the most private writable memory that it may ever have, in bytes.

    A layer that the machine lacks must be named in `waived`. Raises ConfigurationInvalid where it is not, and where
    the process already has threads, which would stay outside.
    """
    # Landlock, namespaces and seccomp lock one thread and those it makes later: an older thread would be a way out.
    if len(os.listdir("/proc/self/task")) != 1:
        raise _refusal("The render child already runs threads, which the sandbox would not hold.")
    layers: dict[str, Callable[[], str]] = {
        "namespaces": _namespaces,
        "privileges": _privileges,  # after namespaces: entering one gave this process every capability inside it
        "landlock": lambda: f"ABI {landlock.restrict(_libc)}",
        "rlimits": lambda: _rlimits(memory),
        "seccomp": _seccomp,
    }
    standing, missing = dict[str, str](), dict[str, str]()
    for layer, put_up in layers.items():
        try:
            standing[layer] = put_up()
        except OSError as error:
            missing[layer] = error.strerror or str(error)
    unwaived = [layer for layer in missing if layer not in waived]
    if unwaived:
        raise _refusal(" ".join(_lack(layer, missing[layer]) for layer in unwaived))
    return Report(standing=standing, missing=missing)


def probe() -> Report:
    """What a child could lock on this machine, tried in a throw-away process. Nothing changes for the caller."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, msgspec.msgpack.encode(lock(WAIVABLE, memory=2**33)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return msgspec.msgpack.decode(answer, type=Report)


def _privileges() -> str:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(header, nothing))
    return "no new privileges, no capabilities"


def _namespaces() -> str:
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET))
    return "user, network"


def _rlimits(memory: int) -> str:
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_MEMLOCK, 0)
    _bound(resource.RLIMIT_MSGQUEUE, 0)
    _bound(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _bound(resource.RLIMIT_FSIZE, RESULT)
    _bound(resource.RLIMIT_DATA, memory)
    return "core, descriptors, result, memory"


def _seccomp() -> str:
    machine = seccomp.this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, f"no filter is written for {os.uname().machine}")
    seccomp.install(_libc, machine, seccomp.program(machine, os.getpid()))
    return "allow-list"


def _bound(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def _lack(layer: str, why: str) -> str:
    return f"This machine does not give the sandbox layer {layer} ({why}); add {layer} to {WAIVER} to run without it."


def _refusal(message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path=WAIVER, message=message)])


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
