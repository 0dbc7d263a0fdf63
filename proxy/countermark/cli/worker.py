"""`python -m countermark.cli.worker LISTENER CONTROL`: one worker on inherited descriptors. Only the supervisor calls it."""

from __future__ import annotations

import sys

from countermark.signing.table import DIALECTS
from countermark.web import worker
from countermark.wiring import build


def main() -> int:
    listener, control = (int(text) for text in sys.argv[1:])
    denials = {name: dialect.denials for name, dialect in DIALECTS.items()}
    return worker.run(listener=listener, control=control, build=build, denials=denials)


if __name__ == "__main__":
    sys.exit(main())
