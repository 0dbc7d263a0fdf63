"""`python -m countermark.cli.worker LISTENER CONTROL ROSTER`: one worker on descriptors that the supervisor hands over."""

from __future__ import annotations

import sys

from countermark.signing.table import DIALECTS
from countermark.web import worker
from countermark.wiring import build


def main() -> int:
    listener, control, roster = (int(text) for text in sys.argv[1:])
    denials = {name: dialect.denials for name, dialect in DIALECTS.items()}
    return worker.run(listener=listener, control=control, roster=roster, build=build, denials=denials)


if __name__ == "__main__":
    sys.exit(main())
