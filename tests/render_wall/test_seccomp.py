"""The filter's program, run by a small interpreter of classic BPF: also for the machine that this is not."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from countermark.render import seccomp

PID = 4242
THREAD = 0x003D0F00
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
# asm-generic names this one by its 32-bit twin: __NR3264_fstatat.
OLD_NAMES = {"newfstatat": "fstatat"}


def verdict(code: bytes, audit: int, number: int, *arguments: int) -> int:
    """What the kernel would answer to this call."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *arguments, *([0] * (6 - len(arguments))))
    program = list(struct.iter_unpack("=HBBI", code))
    accumulator, at = 0, 0
    while True:
        operation, yes, no, value = program[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x15:
            at += yes if accumulator == value else no
        elif operation == 0x35:
            at += yes if accumulator >= value else no
        else:
            assert operation == 0x06
            return int(value)


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("read", (), seccomp.ALLOW),
        ("futex", (), seccomp.ALLOW),
        ("openat", (), seccomp.refuse(errno.EACCES)),
        ("statx", (), seccomp.refuse(errno.EACCES)),
        ("socket", (), seccomp.KILL),
        ("execve", (), seccomp.KILL),
        ("ptrace", (), seccomp.KILL),
        ("clone3", (), seccomp.refuse(errno.ENOSYS)),
        ("clone", (THREAD,), seccomp.ALLOW),
        ("clone", (17,), seccomp.KILL),
        ("clone", (THREAD | 0x10000000,), seccomp.KILL),
        ("mmap", (0, 4096, 3), seccomp.ALLOW),
        ("mmap", (0, 4096, 7), seccomp.KILL),
        ("mprotect", (0, 4096, 1), seccomp.ALLOW),
        ("mprotect", (0, 4096, 5), seccomp.KILL),
        ("fcntl", (3, 1030), seccomp.ALLOW),
        ("fcntl", (3, 8), seccomp.refuse(errno.EPERM)),
        ("prctl", (15,), seccomp.ALLOW),
        ("prctl", (22,), seccomp.refuse(errno.EINVAL)),
        ("prlimit64", (0,), seccomp.ALLOW),
        ("prlimit64", (1,), seccomp.KILL),
        ("tgkill", (PID, PID, 6), seccomp.ALLOW),
        ("tgkill", (PID - 1, PID, 6), seccomp.KILL),
    ],
)
def test_each_call_gets_its_verdict(name: str, call: str, arguments: tuple[int, ...], answer: int) -> None:
    """The same policy on both architectures."""
    machine = seccomp.MACHINES[name]
    code = seccomp.program(machine, PID)
    assert verdict(code, machine.audit, machine.calls[call], *arguments) == answer


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_numbers_that_are_not_listed_do_not_exist(name: str) -> None:
    """A new call of a new kernel opens nothing, and the C library falls back."""
    machine = seccomp.MACHINES[name]
    code = seccomp.program(machine, PID)
    listed = set(machine.calls.values())
    for number in set(range(600)) - listed:
        assert verdict(code, machine.audit, number) == seccomp.refuse(errno.ENOSYS)


def test_calls_under_a_foreign_numbering_kill() -> None:
    """i386 and x32 reach the same kernel with other numbers: 32-bit fork would read as an allowed call."""
    code = seccomp.program(seccomp.X86_64, PID)
    assert verdict(code, 0x40000003, 0) == seccomp.KILL
    assert verdict(code, seccomp.X86_64.audit, 0x40000000) == seccomp.KILL


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_call_numbers_are_those_of_the_kernel_headers(name: str) -> None:
    """A known answer from outside; one wrong digit would open another call."""
    if not HEADERS[name].exists():
        pytest.skip("no kernel headers here")
    lines = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[name].read_text())
    numbers = {call: int(number) for call, number in lines}
    ours = seccomp.MACHINES[name].calls
    assert ours == {call: numbers.get(call, numbers.get(OLD_NAMES.get(call, ""))) for call in ours}
