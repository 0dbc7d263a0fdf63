"""Known answers through the real verify path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vectors.signing import check_file, main

FOLDER = Path(__file__).parent
FILES = [file for file in sorted(FOLDER.glob("*.json")) if '"signing-vectors/1"' in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_known_answers_hold(file: Path) -> None:
    """Vendors' published values, computed ones, and the native dialect's own; each file of the folder wholly."""
    outcome = check_file(file)
    assert outcome.failures == []
    assert outcome.passed == len(json.loads(file.read_text(encoding="utf-8"))["vectors"]) > 0
    assert not outcome.skipped


def test_the_program_tells_failures_and_unknown_dialects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong answer is a line and an exit code; a dialect that does not exist here is skipped and counted."""
    document = json.loads((FOLDER / "signing.json").read_text(encoding="utf-8"))
    document["vectors"][-1]["expect"] = "accept"
    document["vectors"].append({**document["vectors"][-1], "dialect": "telegraph"})
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(document), encoding="utf-8")
    assert main([str(changed)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAILED keycdn_image/n-1-boundary-shift")
    assert lines[1].startswith("skipped telegraph: 1")
    assert lines[-1] == "13 passed, 1 failed"


def test_the_program_passes_on_good_files(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and the count."""
    assert main([str(FOLDER / "native.json")]) == 0
    assert capsys.readouterr().out == "121 passed, 0 failed\n"
    assert main([]) == 2
