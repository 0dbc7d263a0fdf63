"""Signs the vectors of a file with the Python signer: `drive.py SIGNER VECTORS` prints a JSON list of URLs and refusals."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def signed(signer: Any, key: dict[str, str], vector: dict[str, Any]) -> dict[str, str]:
    """The URL, or what the signer says against it."""
    try:
        made = signer(kid=key["kid"], secret=key["secret"], audience=vector["audience"], base=vector["base"])
        return {"url": made.url(vector["path"], vector["operations"], **vector["options"])}
    except ValueError as error:
        return {"refused": str(error)}


def main(file: str, vectors: str) -> None:
    """Ed25519 is not in Python's standard library: those vectors are left out."""
    spec = spec_from_file_location("signer", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    document = json.loads(Path(vectors).read_text(encoding="utf-8"))
    keys = document["keys"]
    print(
        json.dumps(
            [
                signed(module.Signer, keys[vector["key"]], vector) if "secret" in keys[vector["key"]] else None
                for vector in document["vectors"]
            ]
        )
    )


main(sys.argv[1], sys.argv[2])
