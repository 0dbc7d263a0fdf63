"""A real supervisor whose workers have the small door."""

from __future__ import annotations

import sys
from pathlib import Path

from countermark.configuration import read_settings
from countermark.web import supervisor

if __name__ == "__main__":
    config = Path(sys.argv[1])
    command = (sys.executable, "-m", "tests.system.small_worker")
    sys.exit(supervisor.serve(lambda: read_settings(config), command=command))
