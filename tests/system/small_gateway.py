"""A real supervisor; its workers have the small door unless the test names others."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from countermark.configuration import read_configuration
from countermark.web import supervisor
from countermark.wiring import build_control


def prepare() -> None:
    """What a service manager does before it starts a program: bound its descriptors, hand over a socket."""
    if descriptors := os.environ.pop("TEST_DESCRIPTORS", ""):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
    if listener := os.environ.pop("TEST_LISTENER", ""):
        os.dup2(int(listener), 3)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))


if __name__ == "__main__":
    prepare()
    config = Path(sys.argv[1])
    command = (sys.executable, "-m", os.environ["TEST_WORKER"])
    sys.exit(supervisor.serve(lambda: read_configuration(config), build_control=build_control, command=command))
