"""Opening a file that cannot lie outside its folder."""

from __future__ import annotations

import ctypes
import os

# openat2(2) has the same number on every architecture; Python has no wrapper for it. Linux 5.6 and later.
_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RESOLVE_CACHED = 0x20  # Linux 5.12

# File systems of this machine's own disks and memory (linux/magic.h): ext4, XFS, Btrfs, F2FS, ZFS, tmpfs. A network's, or
# one that a process serves, may keep whoever asks it waiting for ever.
_OWN = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0x01021994})
_STATFS_BYTES = 256  # more than struct statfs has on any architecture

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(folder: int, path: str, *, at_hand: bool = False) -> int:
    """A descriptor for reading `path` below the open `folder`. Raises OSError: EXDEV where the path would leave it.

    The kernel walks the path and refuses each step outside: dot segments, absolute symbolic links, links that climb
    out, and a folder swapped for a link between a check and the open (TOCTOU). Links that stay inside are followed.
    O_NONBLOCK keeps a FIFO without a writer from holding the thread for ever. `at_hand` opens it only where the whole path
    is in the kernel's memory and on the folder's own file system, so that the call waits for nothing: else EAGAIN or EXDEV.
    """
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
    if at_hand:
        resolve |= _RESOLVE_CACHED | _RESOLVE_NO_XDEV
    how = _OpenHow(os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0, resolve)
    encoded = os.fsencode(path)
    descriptor: int = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(folder),
        ctypes.c_char_p(encoded),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def on_own_disk(folder: int) -> bool:
    """Whether the open `folder` lies on a file system that answers from this machine alone."""
    answer = (ctypes.c_long * (_STATFS_BYTES // ctypes.sizeof(ctypes.c_long)))()
    done: int = _libc.fstatfs(ctypes.c_int(folder), ctypes.byref(answer))
    return done == 0 and answer[0] in _OWN
