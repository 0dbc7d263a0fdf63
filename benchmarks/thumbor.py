"""thumbor as a peer: installed by name into a folder of its own, outside the tree, and kept there for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.gateway import free_port
from benchmarks.load import Address

VERSION = "7.8.0"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "countermark-bench"

# Nothing is stored, so that every request decodes; the output is what the others make too: baseline, the given quality.
CONFIGURATION = """
LOADER = "thumbor.loaders.file_loader"
FILE_LOADER_ROOT_PATH = {root!r}
STORAGE = "thumbor.storages.no_storage"
ALLOW_UNSAFE_URL = True
QUALITY = {quality}
PROGRESSIVE_JPEG = False
AUTO_WEBP = False
MAX_AGE = 3600
"""


def installed(say: Callable[[str], None]) -> Path | None:
    """The thumbor program, installed first if need be; None where that is impossible."""
    # By the gateway's own interpreter: one that was built otherwise may run the same code at two thirds of the speed.
    interpreter = hashlib.sha256(f"{sys.base_prefix} {sys.version}".encode()).hexdigest()[:12]
    folder = KEPT / f"thumbor-{VERSION}-{interpreter}"
    program = folder / "bin" / "thumbor"
    if program.exists():
        return program
    say(f"  installing thumbor {VERSION}")
    venv.create(folder, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", f"thumbor=={VERSION}"]
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    return program if program.exists() else None


@contextlib.contextmanager
def running(program: Path, folder: Path, root: Path, *, workers: int, quality: int) -> Iterator[tuple[Address, int]]:
    """thumbor's address and the id of its first process. Raises RuntimeError where it does not come up."""
    (folder / "thumbor.conf").write_text(CONFIGURATION.format(root=str(root), quality=quality))
    port = free_port()
    command = [str(program), "--ip", "127.0.0.1", "--port", str(port), "--conf", str(folder / "thumbor.conf")]
    command += ["--processes", str(workers), "--log-level", "error"]
    with (folder / "thumbor.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield ("127.0.0.1", port), process.pid
    finally:
        processes.end(process)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError("thumbor did not come up")
