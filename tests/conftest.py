"""Profiles of hypothesis: `HYPOTHESIS_PROFILE=nightly ./dev test tests/signing` tries ten thousand examples of each."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("daily", max_examples=150, deadline=None)
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "daily"))
