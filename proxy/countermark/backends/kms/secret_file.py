"""A file that opens sealed keys, as a master key does, or the PIN of a token: it must be its owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from countermark.core.errors import KmsUnavailable

MAX_BYTES = 256


def read(file: Path) -> str:
    """Its text, without white space around. Raises KmsUnavailable where it cannot be read, or others may read it too."""
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            text = opened.read(MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise KmsUnavailable(f"{file} cannot be read: {error.strerror or error}") from None
    # Whoever else can read it can open every sealed key.
    if mode & 0o077:
        raise KmsUnavailable(f"{file} has mode {mode:04o}: it must be its owner's alone (chmod 600)")
    if not text:
        raise KmsUnavailable(f"{file} is empty")
    return text
