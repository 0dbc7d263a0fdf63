"""Checks a file of signing vectors (format `signing-vectors/1`) through the gateway's own verify path.

    python tests/vectors/signing.py FILE

Prints a line for each failure and each dialect that does not exist here, then `N passed, N failed`; exits 1 on failures.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    Expired,
    KeyInactive,
    LifetimeExceeded,
    Malformed,
    MethodNotAllowed,
    NotYetValid,
    SignatureInvalid,
    SignatureMissing,
)
from countermark.core.request import EdgeRequest
from countermark.core.target import decode_path, parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.signing.dialect import Realm
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate

REASONS: dict[str, type[CountermarkError]] = {
    "address": AddressMismatch,
    "bad_signature": SignatureInvalid,
    "expired": Expired,
    "key_inactive": KeyInactive,
    "lifetime": LifetimeExceeded,
    "method": MethodNotAllowed,
    "missing": SignatureMissing,
    "noncanonical": Malformed,
    "not_yet_valid": NotYetValid,
}
CENTURY = 100 * 366 * 86_400


@dataclass
class Outcome:
    """What became of a file: how many held, a line for each that did not, and the dialects that nothing here reads."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def check_file(path: Path) -> Outcome:
    """Check every vector of a file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    outcome = Outcome()
    for vector in document["vectors"]:
        dialect = vector["dialect"]
        if dialect not in DIALECTS and dialect != "hygiene":
            outcome.skipped[dialect] += 1
            continue
        now = vector.get("now", document["default_now"])
        fault = _check_hygiene(vector) if dialect == "hygiene" else _check_signature(vector, now)
        if fault:
            outcome.failures.append(f"{vector['id']}: {fault}")
        else:
            outcome.passed += 1
    return outcome


def raw_target(url: str) -> str:
    """Path and query of an absolute URL, as they stand."""
    return "/" + url.split("://", 1)[1].partition("/")[2] if "/" in url.split("://", 1)[1] else "/"


def _check_hygiene(vector: dict[str, Any]) -> str:
    url = vector["url"]
    authority_end = min(i for i in (url.find(c, url.index("://") + 3) for c in "/\\") if i > 0)
    try:
        target = parse_target(url[authority_end:])
    except Malformed as error:
        return "" if vector["expect"] == "reject" else f"refused: {error}"
    if vector["expect"] == "reject":
        return "accepted"
    return "" if decode_path(target.path) == unquote(target.path)[1:] else "not kept literally"


def _check_signature(vector: dict[str, Any], now: float) -> str:
    realm, keyring = _world(vector)
    try:
        request = EdgeRequest(
            id=vector["id"],
            method=vector["method"],
            target=parse_target(raw_target(vector["url"])),
            host=vector["url"].split("/")[2],
            client=ip_address(vector.get("client_ip", "198.51.100.1")),
            headers={},
            received=now,
        )
        authenticate(request, realm, keyring, now)
    except CountermarkError as error:
        return _compare_refusal(vector, error)
    return "" if vector["expect"] == "accept" else "accepted"


def _compare_refusal(vector: dict[str, Any], error: CountermarkError) -> str:
    if vector["expect"] != "reject":
        return f"refused: {error.reason}: {error}"
    expected = REASONS.get(vector["reason"])
    if expected is not None and not isinstance(error, expected):
        return f"refused as {error.reason}, not as {vector['reason']}"
    denial = DIALECTS[vector["dialect"]].denials.get(error.reason)
    if denial is not None and denial.status != vector.get("status", denial.status):
        return f"answers {denial.status}, not {vector['status']}"
    return ""


def _world(vector: dict[str, Any]) -> tuple[Realm, Keyring]:
    """The realm and the keyring that a vector's `config` describes."""
    config, dialect = vector["config"], vector["dialect"]
    realm = Realm(
        site="site",
        audience=config.get("audience", "site"),
        dialects=(dialect,),
        options={"keycdn_ip": config.get("ip", False)},
    )
    if dialect != "native":
        # Vendors' published examples live longer than any key should allow.
        secret = config["secret"].encode()
        return realm, Keyring([Key(id="zone", dialect=dialect, algorithm="md5", material=secret, max_life=CENTURY)])
    key = dict(config["key"])
    material = base64.urlsafe_b64decode(key.pop("material_b64url") + "==")
    return realm, Keyring([Key(dialect=dialect, material=material, **key)])


def main(arguments: list[str]) -> int:
    """Check the one file that is named; 0 when all hold, 1 when some fail, 2 for wrong usage."""
    if len(arguments) != 1:
        print("usage: python tests/vectors/signing.py FILE", file=sys.stderr)
        return 2
    outcome = check_file(Path(arguments[0]))
    for line in outcome.failures:
        print(f"FAILED {line}")
    for dialect, count in sorted(outcome.skipped.items()):
        print(f"skipped {dialect}: {count}, no such dialect yet")
    print(f"{outcome.passed} passed, {len(outcome.failures)} failed")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
