"""Checks a file of signing vectors (format `signing-vectors/1`) through the gateway's own verify path.

    python tests/vectors/signing.py FILE

Prints a line for each failure and each dialect that does not exist here, then `N passed, N failed`; exits 1 on failures.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

# Run as a program, this file finds its neighbours from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from msgspec.structs import replace

from countermark.core.errors import (
    AddressMismatch,
    CountermarkError,
    CountryMismatch,
    Expired,
    KeyInactive,
    LifetimeExceeded,
    Malformed,
    MethodNotAllowed,
    NotYetValid,
    SignatureInvalid,
    SignatureMissing,
    Used,
)
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import decode_path, parse_target
from countermark.keys.keyring import Keyring
from countermark.signing.cloudfront import canned_policy, read_text
from countermark.signing.dialect import Realm
from countermark.signing.primitives import holds
from countermark.signing.realm import defaults, waivers
from countermark.signing.rfc9421 import read_input, signature_base
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate
from tests.vectors.adapters import World, adapters

REASONS: dict[str, type[CountermarkError]] = {
    "address": AddressMismatch,
    "ip_mismatch": AddressMismatch,
    "bad_signature": SignatureInvalid,
    "country": CountryMismatch,
    "expired": Expired,
    "key_inactive": KeyInactive,
    "lifetime": LifetimeExceeded,
    "method": MethodNotAllowed,
    "missing": SignatureMissing,
    "noncanonical": Malformed,
    "not_yet_valid": NotYetValid,
    "replayed": Used,
}
ADAPTERS = adapters()


@dataclass
class Outcome:
    """What became of a file: how many held, a line for each that did not, and the dialects that nothing here reads."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def check_file(path: Path) -> Outcome:
    """Check every vector of a file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    keys = document.get("keys", {})
    outcome = Outcome()
    for vector in document["vectors"]:
        dialect = vector["dialect"]
        if dialect not in DIALECTS and dialect != "hygiene":
            outcome.skipped[dialect] += 1
            continue
        now = vector.get("now", document["default_now"])
        if dialect == "hygiene":
            fault = _check_hygiene(vector)
        elif vector["expect"] == "policy-bytes":
            fault = _check_policy(vector)
        elif dialect == "rfc9421" and "tag" not in vector["config"]:
            fault = _check_signature_base(vector, keys)
        else:
            fault = _check_signature(vector, keys, now)
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


def _check_policy(vector: dict[str, Any]) -> str:
    """CloudFront's policies as other clients write them."""
    signed = vector["string_to_sign"].encode()
    if "policy_param" in vector:
        return "" if read_text("Policy", vector["policy_param"]) == signed else "decoded otherwise"
    statement = json.loads(signed)["Statement"][0]
    expires = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
    return "" if canned_policy(statement["Resource"], expires) == signed else "written otherwise"


def _check_signature_base(vector: dict[str, Any], document_keys: dict[str, Any]) -> str:
    """A signature of another profile than the gateway's: the RFC's own example is a POST without an end."""
    request = _request(vector, frozenset(), vector["now"])
    signed = signature_base(read_input(request.headers["signature-input"]), request).encode()
    if signed.decode() != vector["string_to_sign"]:
        return "another signature base"
    signature = b64decode(vector["signature"])
    world = ADAPTERS["rfc9421"](vector, document_keys)
    return "" if any(holds(key, signed, signature) for key in world.keys) else "does not hold"


def _check_signature(vector: dict[str, Any], document_keys: dict[str, Any], now: float) -> str:
    world = ADAPTERS[vector["dialect"]](vector, document_keys)
    realm = _realm(vector["dialect"], world)
    try:
        request = replace(_request(vector, waivers(realm), now), country=vector.get("country", world.country))
        claims = authenticate(request, realm, Keyring(world.keys), now)
        if claims.once in world.used and request.method == "GET":
            raise _used(claims)
    except CountermarkError as error:
        return _compare_refusal(vector, error)
    return "" if vector["expect"] == "accept" else "accepted"


def _used(claims: Claims) -> Used:
    """What the store of used credentials says."""
    refused = Used("The URL opens once, and it has been used.")
    refused.dialect = claims.dialect
    return refused


def _request(vector: dict[str, Any], waive: frozenset[str], now: float) -> EdgeRequest:
    return EdgeRequest(
        id=vector["id"],
        method=vector["method"],
        target=parse_target(raw_target(vector["url"]), waive=waive),
        host=vector["url"].split("/")[2].partition(":")[0],
        client=ip_address(vector.get("client_ip", "198.51.100.1")),
        headers=_headers(vector),
        received=now,
        country=vector.get("country", ""),
    )


def _headers(vector: dict[str, Any]) -> dict[str, str]:
    headers = {name.lower(): value for name, value in vector.get("headers", {}).items()}
    if "cookies" in vector:
        headers["cookie"] = "; ".join(f"{name}={value}" for name, value in vector["cookies"].items())
    return headers


def _realm(dialect: str, world: World) -> Realm:
    return Realm(
        site="site",
        audience=world.audience,
        dialects=(dialect,),
        prefix=world.prefix,
        options={dialect: defaults(dialect) | dict(world.options)},
        base_url=world.base_url,
        sources=world.sources,
    )


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
