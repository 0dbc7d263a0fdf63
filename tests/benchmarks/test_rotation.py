"""The simulated year finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measures.rotation import Year

from countermark.settings.model import RotationSettings


def test_weeks_of_rotation_refuse_no_good_url_and_accept_no_dead_key(tmp_path: Path) -> None:
    """By the defaults, with gateways that miss files and a signer that is late."""
    year = Year(tmp_path, RotationSettings())
    year.live(4)
    assert year.counts["asked"] > 5000
    assert (year.counts["refused"], year.counts["accepted"], year.counts["steps of a second run"]) == (0, 0, 0)


def test_too_short_an_overlap_is_found_out(tmp_path: Path) -> None:
    """Without any, what a late signer signs for a whole life dies before its time."""
    year = Year(tmp_path, RotationSettings(overlap=0))
    year.live(4)
    assert year.counts["refused"] > 0
