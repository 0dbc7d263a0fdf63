"""Processes as the kernel sees them: who descends from whom, what they used, how much memory they hold."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

TICK = os.sysconf("SC_CLK_TCK")


def children_of(pid: int) -> list[int]:
    """Direct children; empty for a process that is gone."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sorted({int(child) for thread in threads for child in (thread / "children").read_text().split()})
    except OSError:
        return []


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        found += [child for child in children_of(parent) if child not in found]
    return found


def peer_of(port: int, pids: Iterable[int]) -> int | None:
    """Which of these processes holds the other end of the connection from this port on 127.0.0.1."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[2] == f"0100007F:{port:04X}"}
    for pid in pids:
        if any(_link(place) in sockets for place in Path(f"/proc/{pid}/fd").iterdir()):
            return pid
    return None


def _link(place: Path) -> str:
    try:
        return os.readlink(place)
    except OSError:
        return ""


def leaves(pid: int) -> list[int]:
    """The descendants that have no children of their own."""
    return [member for member in tree(pid) if member != pid and not children_of(member)]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, and of the children that they have already buried."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK


def pss(pid: int) -> int:
    """Proportional set size in bytes: pages shared by n processes count 1/n in each."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss:")


def peak_rss(pid: int) -> int:
    """Highest resident set since the start or since `forget_peak`, in bytes."""
    return _field(f"/proc/{pid}/status", "VmHWM:")


def forget_peak(pids: Iterable[int]) -> None:
    """Start the kernel's high-water mark of resident memory anew (proc(5), clear_refs 5)."""
    for pid in pids:
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            continue


def _field(path: str, name: str) -> int:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


class PeakWatch:
    """Reads the high-water marks of processes until it is left: one that held much is replaced, and its mark with it."""

    def __init__(self, pids: Iterable[int], interval: float = 0.002) -> None:
        self.peaks = dict.fromkeys(pids, 0)
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        while True:
            for pid, peak in self.peaks.items():
                self.peaks[pid] = max(peak, peak_rss(pid))
            if self._done.wait(self._interval):
                return


class MemoryWatch:
    """Samples the summed PSS of a process tree until it is left; `peak` and `base` are bytes, 0 if not `active`."""

    def __init__(self, root: int, interval: float = 0.03, *, active: bool = True) -> None:
        self.root = root
        self.active = active
        self.interval = interval
        self.base = 0
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self.active:
            self.base = self.peak = self._sum()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self.active:
            self._thread.join(timeout=5)

    def _sum(self) -> int:
        return sum(pss(pid) for pid in tree(self.root))

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self.peak = max(self.peak, self._sum())


def end(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End a process that we started: politely, then surely, and with it whatever it left behind."""
    family = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(patience)
    for pid in family[1:]:
        kill(pid, parent_gone=True)


def kill(pid: int, *, parent_gone: bool = False) -> None:
    """Kill by id. With `parent_gone` only an orphan is killed, so that a reused id is never hit."""
    try:
        if not parent_gone or _parent(pid) == 1:
            os.kill(pid, 9)
    except OSError:
        return


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
