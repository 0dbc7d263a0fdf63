"""Opening a file that cannot lie outside its folder."""

from __future__ import annotations

import ctypes
import os

# openat2(2) has the same number on every architecture; Python has no wrapper for it. Linux 5.6 and later.
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(folder: int, path: str) -> int:
    """A descriptor for reading `path` below the open `folder`. Raises OSError: EXDEV where the path would leave it.

    The kernel walks the path and refuses each step outside: dot segments, absolute symbolic links, links that climb
    out, and a folder swapped for a link between a check and the open (TOCTOU). Links that stay inside are followed.
    O_NONBLOCK keeps a FIFO without a writer from holding the thread for ever.
    """
    how = _OpenHow(
        os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
    )
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
