"""python -m benchmarks [NAME ...]: measure, tell, and write benchmarks/results/."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, pictures
from benchmarks.measures.table import MEASURES
from benchmarks.plot import plot
from benchmarks.result import Result, as_json, as_markdown
from benchmarks.setting import Setting

RESULTS = Path(__file__).parent / "results"
EPILOGUE = """
A template of --peer holds {key} or {source}: the object's name, or the quoted address of the original on an HTTP
origin of the benchmark's own; besides them {width} and {quality}. For example
  --peer 'imgproxy=http://127.0.0.1:8888/insecure/rs:fit:{width}:0/q:{quality}/plain/{source}@jpg'
The exit code is 0 when every goal was reached, 1 when one was missed or a measurement broke, 2 for wrong usage.
"""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line, or exit with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure countermark against bare libvips, nginx, thumbor and its own quiet self.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all unless named: {', '.join(MEASURES)}")
    parser.add_argument("--quick", action="store_true", help="few short rounds: about three minutes, rough figures")
    parser.add_argument("--full", action="store_true", help="100 million revocations too: 3 GB of disk and of memory")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL-TEMPLATE", help="compare with it too")
    parser.add_argument("--photograph", type=Path, metavar="FILE", help="use this picture, 2900 pixels wide or more")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--list", action="store_true", help="print the measurements and end")
    told = parser.parse_args(given)
    unknown = [name for name in told.names if name not in MEASURES]
    if unknown:
        parser.error(f"no such measurement: {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    if any("=" not in peer or "://" not in peer for peer in told.peer):
        parser.error("--peer wants NAME=URL-TEMPLATE, such as imagor=http://127.0.0.1:8000/unsafe/{width}x0/{key}")
    return told


def say(line: str) -> None:
    """Progress goes to standard error, so that --json stays clean."""
    print(line, file=sys.stderr, flush=True)


def run(told: argparse.Namespace) -> tuple[list[Result], list[str]]:
    """The results, and a sentence for every measurement that broke."""
    results: list[Result] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="countermark-bench-") as folder:
        say("photographs")
        setting = Setting(
            folder=Path(folder),
            pictures=pictures.make(Path(folder) / "originals", told.photograph, say),
            quick=told.quick,
            full=told.full,
            peers=dict(peer.split("=", 1) for peer in told.peer),
            say=say,
        )
        for name in told.names or MEASURES:
            start = time.monotonic()
            say(name)
            try:
                results.append(MEASURES[name](setting))
            except (RuntimeError, OSError, TimeoutError, subprocess.SubprocessError) as error:
                broken.append(f"{name}: {error}")
                say(f"  broke: {error}")
            say(f"  {time.monotonic() - start:.0f} s")
    return results, broken


def document(
    results: Sequence[Result], broken: Sequence[str], before: dict[str, object], told: argparse.Namespace
) -> str:
    """The Markdown of a run."""
    after = machine.facts()
    head = [
        "# Benchmark results",
        "",
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC{', quick run: rough figures' if told.quick else ''}.",
        f"{before['cores']} cores ({before['processor']}), Linux {before['kernel']}, Python {before['python']}.",
        f"Noise of a fixed computation, (p90 - p10) / median: {before['noise']} before, {after['noise']} after.",
        f"Load average: {before['load_average']} before, {after['load_average']} after.",
        "",
        "The value of a figure is the median of its rounds, or the worst where it says so.",
        "Spread is (p90 - p10) / median of the rounds. Absolute figures in the notes are this machine's, in this hour.",
        "",
    ]
    body = [as_markdown(result) for result in results]
    return "\n".join([*head, *body, *(f"- broke: {line}" for line in broken)]) + "\n"


def main(given: Sequence[str]) -> int:
    """Run what was asked for; the exit code."""
    told = arguments(given)
    if told.list:
        for name, measure in MEASURES.items():
            print(f"{name:10} {(sys.modules[measure.__module__].__doc__ or '').strip()}")
        return 0
    before = machine.facts()
    try:
        results, broken = run(told)
    except (RuntimeError, OSError) as error:
        say(str(error))
        return 1
    text = document(results, broken, before, told)
    data = {
        "machine": before,
        "quick": told.quick,
        "results": [as_json(result) for result in results],
        "broken": broken,
    }
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / ("quick" if told.quick else "latest" if not told.names else "-".join(told.names))
    stem.with_suffix(".md").write_text(text)
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    if not plot(results, stem.with_suffix(".png")):
        say("no plot: matplotlib is not installed, or no figure has a goal")
    print(json.dumps(data) if told.json else text)
    return 1 if broken or any(result.missed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
