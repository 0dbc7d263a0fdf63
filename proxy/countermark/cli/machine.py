"""What `countermark doctor` looks at on the machine itself."""

from __future__ import annotations

import ctypes
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from countermark.cli.finding import Finding
from countermark.render import sandbox

_FEW_DESCRIPTORS = 4096
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES = 256  # struct timex has 208; all zero means: change nothing
_FORMATS = ("jpeg", "png", "webp", "avif", "gif", "tiff")
_LIBVIPS = """
import pyvips
wanted = {"jpeg": "jpegsave", "png": "pngsave", "webp": "webpsave", "avif": "heifsave", "gif": "gifsave",
          "tiff": "tiffload"}
there = [name for name, operation in wanted.items() if pyvips.type_find("VipsOperation", operation)]
print(".".join(str(pyvips.version(part)) for part in range(3)), *there)
"""


def examine(waived: Collection[str]) -> Iterator[Finding]:
    """All findings of the machine. `waived` are the sandbox layers that the settings do without."""
    yield Finding(check="python", state="ok", message=f"{platform.python_version()} ({sys.executable})")
    yield _libvips()
    yield from _sandbox(waived)
    yield _descriptors()
    yield _clock()
    yield _allocator()


def _libvips() -> Finding:
    # In a process of its own: libvips starts threads, and the sandbox is probed in a fork of this one.
    probe = subprocess.run([sys.executable, "-c", _LIBVIPS], capture_output=True, text=True, timeout=60, check=False)
    if probe.returncode != 0:
        reason = probe.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return Finding(check="libvips", state="fail", message=reason[0], advice="install pyvips-binary")
    version, *there = probe.stdout.split()
    missing = [name for name in _FORMATS if name not in there]
    if missing:
        message = f"{version} without {', '.join(missing)}"
        return Finding(check="libvips", state="fail", message=message, advice="install the wheel pyvips-binary")
    return Finding(check="libvips", state="ok", message=f"{version} with {', '.join(there)}")


def _sandbox(waived: Collection[str]) -> Iterator[Finding]:
    report = sandbox.probe()
    for layer, what in report.standing.items():
        yield Finding(check=f"sandbox {layer}", state="ok", message=what)
    for layer, reason in report.missing.items():
        if layer in waived:
            advice = "waived in render.unsafe_waive_sandbox; a hostile picture has one wall less to climb"
            yield Finding(check=f"sandbox {layer}", state="warn", message=reason, advice=advice)
        else:
            advice = f"allow it in the container or kernel, or waive it: render.unsafe_waive_sandbox: [{layer}]"
            yield Finding(check=f"sandbox {layer}", state="fail", message=reason, advice=advice)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    message = f"{soft} open files a process (hard limit {hard})"
    if soft < _FEW_DESCRIPTORS:
        advice = "raise it, as by `ulimit -n 65536` or LimitNOFILE=65536; it bounds the connections"
        return Finding(check="descriptors", state="warn", message=message, advice=advice)
    return Finding(check="descriptors", state="ok", message=message)


def _clock() -> Finding:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == _UNSYNCHRONISED:
        advice = "let NTP keep it; expiry and not-before of signatures are compared with it"
        return Finding(check="clock", state="warn", message=f"{now}, not known to be in step", advice=advice)
    if state < 0:
        advice = "compare it yourself; expiry and not-before of signatures are compared with it"
        return Finding(check="clock", state="warn", message=f"{now}; the kernel may not be asked", advice=advice)
    return Finding(check="clock", state="ok", message=now)


def _allocator() -> Finding:
    if "jemalloc" in Path("/proc/self/maps").read_text():
        return Finding(check="allocator", state="ok", message="jemalloc")
    advice = "preload jemalloc (docs/operations.md); the system's allocator gives less memory back after a burst"
    return Finding(check="allocator", state="warn", message="the system's", advice=advice)
