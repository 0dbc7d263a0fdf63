"""wrk as the client where a Python client would be the bottleneck: one thread, a list of targets, percentiles."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Address
from benchmarks.setting import tool

SCRIPT = """
local requests = {}
local turn = 0

function init(args)
  local fields = {}
  for place = 2, #args do
    local name, value = args[place]:match("([^:]+): (.*)")
    fields[name] = value
  end
  for target in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", target, fields)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  local form = '\\n{"requests": %d, "micros": %d, "bytes": %d, "p50": %d, "p99": %d, "status": %d, "broken": %d}\\n'
  io.write(form:format(summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Requests a second, latencies in seconds, bytes an answer (header included), and answers that were not 2xx."""

    rate: float
    p50: float
    p99: float
    size: float
    failed: int


def run(
    address: Address,
    targets: Sequence[str],
    folder: Path,
    *,
    host: str,
    connections: int,
    seconds: float,
    core: int,
    fields: Mapping[str, str] = {},
) -> Run:
    """Run wrk, pinned to one core; `fields` are sent with each request. Raises RuntimeError where it says nothing that we
    understand."""
    (folder / "wrk.lua").write_text(SCRIPT)
    (folder / "targets").write_text("\n".join(targets) + "\n")
    command = ["taskset", "-c", str(core), str(tool("wrk")), "-t1", f"-c{connections}", f"-d{seconds:g}s"]
    command += ["-s", "wrk.lua", f"http://{address[0]}:{address[1]}", "--", "targets"]
    command += [f"{name}: {value}" for name, value in {"Host": host, **fields}.items()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds + 30, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    said = json.loads(lines[-1])
    return Run(
        rate=said["requests"] / (said["micros"] / 1e6),
        p50=said["p50"] / 1e6,
        p99=said["p99"] / 1e6,
        size=said["bytes"] / max(1, said["requests"]),
        failed=said["status"] + said["broken"],
    )
