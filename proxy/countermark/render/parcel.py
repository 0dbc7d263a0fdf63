"""Originals on their way to a render child, bounded each and together."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import BinaryIO

from countermark.core.errors import Overloaded, PictureTooLarge
from countermark.render.wire import SMALL

# Neither side may change or shrink a file that the other has mapped: a changed byte is a race, a cut file is a SIGBUS.
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Budget:
    """Bytes that all open parcels of this process may hold together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Raises Overloaded when it is spent."""
        if self.held + size > self.limit:
            raise Overloaded(
                "The gateway holds too many originals at once. Try again shortly.",
                private=f"open parcels hold {self.held} of {self.limit} bytes",
            )
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


class MemoryParcel:
    """An original: up to SMALL bytes as such, more in a memory file. Filled by `write`, frozen by `seal`, freed by `close`;
    all three never wait."""

    def __init__(self, budget: Budget, limit: int) -> None:
        self._budget = budget
        self._limit = limit
        self._size = 0
        self._open = True
        self._sealed = False
        self._small = b""
        self._descriptor = -1

    @property
    def size(self) -> int:
        return self._size

    def write(self, chunk: bytes) -> None:
        """Append. Raises PictureTooLarge beyond the limit, Overloaded when all parcels together hold too much."""
        self._take(len(chunk))
        if self._size <= SMALL and self._descriptor < 0:
            self._small += chunk
        else:
            _append(self._file(), chunk)

    def inlet(self, size: int) -> BinaryIO:
        """Room for `size` more bytes: a file by which any thread appends them, and closes it. Raises as `write`.

        It has a descriptor of its own: one that were closed with the parcel could be another file's by the time at
        which an abandoned thread writes to it.
        """
        self._take(size)
        return open(os.dup(self._file()), "wb", buffering=0)

    def _take(self, size: int) -> None:
        self._check_open()
        if self._sealed:
            raise ValueError("the parcel is sealed")
        if self._size + size > self._limit:
            raise PictureTooLarge(f"The original is larger than {self._limit} bytes.")
        self._budget.take(size)
        self._size += size

    def head(self, length: int) -> bytes:
        """The first bytes, fewer where there are fewer."""
        self._check_open()
        return self._small[:length] if self._descriptor < 0 else os.pread(self._descriptor, length, 0)

    def seal(self) -> bytes | int:
        """Make it immutable for everybody: its bytes, or the descriptor of its file, which stays this parcel's own."""
        self._check_open()
        if self._descriptor >= 0 and not self._sealed:
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self._sealed = True
        return self._small if self._descriptor < 0 else self._descriptor

    def close(self) -> None:
        """Free it. Closing twice does nothing."""
        if not self._open:
            return
        self._open = False
        self._small = b""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._budget.give_back(self._size)

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("the parcel is closed")

    def _file(self) -> int:
        """The memory file, made when it is needed; what came before is in it."""
        if self._descriptor < 0:
            self._descriptor = os.memfd_create("original", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            _append(self._descriptor, self._small)
            self._small = b""
        return self._descriptor

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            self.close()


def _append(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
