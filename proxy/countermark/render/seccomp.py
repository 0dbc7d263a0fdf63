"""The system calls that a locked render child may make, as a classic BPF program.

Allowed is what libvips and CPython need once everything is imported: memory, threads of its own, waiting, clocks and
the descriptors that it already has. Calls that only an attacker makes kill the process, so that they are seen.
Everything else answers ENOSYS, as a kernel without that call would: the C library then falls back.

Sources: linux/seccomp.h, linux/filter.h, seccomp(2); call numbers from asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Mapping

from msgspec import Struct

_LOAD_WORD = 0x20
_AND = 0x54
_IF_EQUAL = 0x15
_IF_AT_LEAST = 0x35
_RETURN = 0x06

_NUMBER_AT = 0
_ARCH_AT = 4
_ARGUMENTS_AT = 16

ALLOW = 0x7FFF0000
KILL = 0x80000000
_ERRNO = 0x00050000

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_PROT_EXEC = 4
_PR_SET_NAME = 15
_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 1, 2, 3, 1030

_SECCOMP_SET_MODE_FILTER = 1


class Machine(Struct, frozen=True, kw_only=True):
    """An architecture: its audit number, the number of seccomp(2), and its table of calls."""

    audit: int
    seccomp: int
    calls: Mapping[str, int]


class Check(Struct, frozen=True):
    """One call's rule: allowed when argument `argument` masked by `mask` is one of `values`, else `otherwise`.

    Only the low 32 bits are compared; the kernel itself looks at no more of the arguments named here.
    """

    call: str
    argument: int
    mask: int
    values: tuple[int, ...]
    otherwise: int


# fmt: off
X86_64 = Machine(audit=0xC000003E, seccomp=317, calls={
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "pwrite64": 18,
    "readv": 19, "writev": 20, "access": 21, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35,
    "setitimer": 38, "getpid": 39, "socket": 41, "connect": 42, "sendto": 44, "recvfrom": 45, "sendmsg": 46,
    "recvmsg": 47, "bind": 49, "listen": 50, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59,
    "exit": 60, "kill": 62, "fcntl": 72, "ftruncate": 77, "readlink": 89, "gettimeofday": 96, "getrusage": 98,
    "sysinfo": 99, "ptrace": 101, "sigaltstack": 131, "prctl": 157, "mount": 165, "gettid": 186,
    "tkill": 200, "time": 201, "futex": 202, "sched_getaffinity": 204, "restart_syscall": 219, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "openat": 257, "newfstatat": 262,
    "unshare": 272, "ppoll": 271, "set_robust_list": 273, "rt_tgsigqueueinfo": 297, "prlimit64": 302, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "getrandom": 318, "bpf": 321, "execveat": 322,
    "membarrier": 324, "pkey_mprotect": 329, "statx": 332, "rseq": 334, "pidfd_send_signal": 424, "io_uring_setup": 425,
    "clone3": 435, "openat2": 437, "rt_sigqueueinfo": 129, "faccessat": 269, "faccessat2": 439, "readlinkat": 267,
})
AARCH64 = Machine(audit=0xC00000B7, seccomp=277, calls={
    "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
    "brk": 214, "rt_sigprocmask": 135, "rt_sigreturn": 139, "pread64": 67, "pwrite64": 68, "readv": 65, "writev": 66,
    "sched_yield": 124, "mremap": 216, "madvise": 233, "nanosleep": 101, "setitimer": 103, "getpid": 172,
    "socket": 198, "connect": 203, "sendto": 206, "recvfrom": 207, "sendmsg": 211, "recvmsg": 212, "bind": 200,
    "listen": 201, "socketpair": 199, "clone": 220, "execve": 221, "exit": 93, "kill": 129, "fcntl": 25,
    "ftruncate": 46, "gettimeofday": 169, "getrusage": 165, "sysinfo": 179, "ptrace": 117, "sigaltstack": 132,
    "prctl": 167, "mount": 40, "gettid": 178, "tkill": 130, "futex": 98, "sched_getaffinity": 123,
    "restart_syscall": 128, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "exit_group": 94,
    "tgkill": 131, "openat": 56, "newfstatat": 79, "unshare": 97, "ppoll": 73, "set_robust_list": 99,
    "rt_tgsigqueueinfo": 240, "prlimit64": 261, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
    "getrandom": 278, "bpf": 280, "execveat": 281, "membarrier": 283, "pkey_mprotect": 288, "statx": 291, "rseq": 293,
    "pidfd_send_signal": 424, "io_uring_setup": 425, "clone3": 435, "openat2": 437, "rt_sigqueueinfo": 138,
    "faccessat": 48, "faccessat2": 439, "readlinkat": 78,
})

ALLOWED = (
    "futex", "read", "write", "readv", "writev", "pread64", "pwrite64", "recvmsg", "sendmsg", "recvfrom", "sendto",
    "munmap", "madvise", "brk", "mremap", "close", "fstat", "lseek", "ftruncate", "poll", "ppoll", "sched_yield",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getpid", "gettid",
    "getrandom", "getrusage", "sysinfo", "sched_getaffinity", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    "restart_syscall", "setitimer", "set_robust_list", "rseq", "membarrier", "exit", "exit_group",
)
NO_FILES = (
    "open", "openat", "openat2", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat",
)
KILLED = (
    "socket", "connect", "bind", "listen", "socketpair", "fork", "vfork", "execve", "execveat", "kill", "tkill",
    "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "ptrace", "process_vm_readv", "process_vm_writev",
    "mount", "unshare", "setns", "bpf", "io_uring_setup",
)
# fmt: on

MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}


def rules(pid: int) -> tuple[Check, ...]:
    """The calls that depend on an argument, for a process of this pid."""
    return (
        # Injected code needs memory that it can run: none is ever made executable after the imports.
        Check("mmap", 2, _PROT_EXEC, (0,), KILL),
        Check("mprotect", 2, _PROT_EXEC, (0,), KILL),
        Check("pkey_mprotect", 2, _PROT_EXEC, (0,), KILL),
        Check("clone", 0, _CLONE_THREAD | _CLONE_NAMESPACES, (_CLONE_THREAD,), KILL),
        # F_SETOWN would let the kernel send signals to others on our behalf.
        Check("fcntl", 1, 0xFFFFFFFF, (_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC), refuse(errno.EPERM)),
        Check("prctl", 0, 0xFFFFFFFF, (_PR_SET_NAME,), refuse(errno.EINVAL)),
        Check("prlimit64", 0, 0xFFFFFFFF, (0, pid), KILL),
        # abort() signals itself; nobody else may be signalled.
        Check("tgkill", 0, 0xFFFFFFFF, (pid,), KILL),
    )


def refuse(number: int) -> int:
    """The action that makes a call answer this errno."""
    return _ERRNO | number


def program(machine: Machine, pid: int) -> bytes:
    """The filter of a render child with this pid."""
    verdicts = dict.fromkeys(ALLOWED, ALLOW)
    verdicts |= {name: refuse(errno.EACCES) for name in NO_FILES}
    verdicts |= dict.fromkeys(KILLED, KILL)
    # clone3's flags lie in memory, where a filter cannot read: ENOSYS makes the C library use clone.
    verdicts["clone3"] = refuse(errno.ENOSYS)
    return assemble(machine, verdicts, rules(pid), refuse(errno.ENOSYS))


def assemble(machine: Machine, verdicts: Mapping[str, int], checks: Iterable[Check], default: int) -> bytes:
    """A classic BPF program: verdicts by name, then checks, then the default. Names without a number are left out."""
    parts = [
        _instruction(_LOAD_WORD, value=_ARCH_AT),
        _instruction(_IF_EQUAL, yes=1, value=machine.audit),
        _return(KILL),  # another architecture's numbers mean other calls
        _instruction(_LOAD_WORD, value=_NUMBER_AT),
    ]
    if machine is X86_64:
        # The x32 ABI reaches the same calls under other numbers.
        parts += [_instruction(_IF_AT_LEAST, no=1, value=0x40000000), _return(KILL)]
    for name, action in verdicts.items():
        if name in machine.calls:
            parts += [_instruction(_IF_EQUAL, no=1, value=machine.calls[name]), _return(action)]
    for check in checks:
        if check.call in machine.calls:
            body = _check(check)
            parts += [_instruction(_IF_EQUAL, no=len(body), value=machine.calls[check.call]), *body]
    return b"".join([*parts, _return(default)])


def install(libc: ctypes.CDLL, machine: Machine, code: bytes) -> None:
    """Put the filter on this thread and all that it will make; there is no way back. Raises OSError."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

    loaded = Program(len(code) // 8, code)
    if libc.syscall(machine.seccomp, _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(loaded)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def this_machine() -> Machine | None:
    """The table for this architecture, or None."""
    return MACHINES.get(platform.machine())


def _check(check: Check) -> list[bytes]:
    body = [
        _instruction(_LOAD_WORD, value=_ARGUMENTS_AT + 8 * check.argument),
        _instruction(_AND, value=check.mask),
    ]
    for value in check.values:
        body += [_instruction(_IF_EQUAL, no=1, value=value), _return(ALLOW)]
    return [*body, _return(check.otherwise)]


def _return(action: int) -> bytes:
    return _instruction(_RETURN, value=action)


def _instruction(code: int, *, yes: int = 0, no: int = 0, value: int) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
