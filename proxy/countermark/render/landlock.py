"""Landlock without any rule: no file, no TCP, and no abstract socket or signal beyond the process itself.

The system calls are raw, for the C library has no names for them. Source: landlock(7), linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_ASK_VERSION = 1
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

# Rights over files that each ABI knows: REFER came with 2, TRUNCATE with 3, IOCTL_DEV with 5.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def restrict(libc: ctypes.CDLL) -> int:
    """Lock this thread and all that it will make; the kernel's ABI version. Raises OSError where it is missing."""
    version = _call(libc, _CREATE_RULESET, None, 0, _ASK_VERSION)
    ruleset = _Ruleset(
        files=(1 << _FILE_RIGHTS[min(version, 5)]) - 1,
        network=_BIND_AND_CONNECT_TCP if version >= 4 else 0,
        scoped=_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    descriptor = _call(libc, _CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    try:
        _call(libc, _RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)
    return version


def _call(libc: ctypes.CDLL, *arguments: object) -> int:
    result = int(libc.syscall(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
