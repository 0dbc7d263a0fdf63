"""Project Wycheproof's vectors through the primitives that verify requests."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from countermark.keys.keyring import Key
from countermark.signing.dialect import Presented
from countermark.signing.native import Native
from countermark.signing.primitives import ecdsa_holds, ed25519_holds, holds, sign
from tests.signing.pairs import pair_key

FOLDER = Path(__file__).parent.parent / "vectors" / "wycheproof"


def groups(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["testGroups"]
    return found


def presented(signature: bytes, message: bytes) -> Presented:
    return Presented(signature=signature, key_id="k", path="/", pairs=(), message=message)


def test_hmac_sha256_answers_as_wycheproof_says() -> None:
    """Every case with a whole tag, and no truncated tag at all."""
    counted = 0
    for group in groups("hmac_sha256_test.json"):
        for case in group["tests"]:
            key = Key(id="k", dialect="native", algorithm="hmac-sha256", material=bytes.fromhex(case["key"]))
            given = presented(bytes.fromhex(case["tag"]), bytes.fromhex(case["msg"]))
            expected = case["result"] == "valid" and group["tagSize"] == 256
            assert Native().holds(given, key) is expected, case["tcId"]
            counted += 1
    assert counted == 174


def test_hmac_sha1_answers_as_wycheproof_says() -> None:
    """Every case with a whole tag, and no truncated tag at all."""
    counted = 0
    for group in groups("hmac_sha1_test.json"):
        for case in group["tests"]:
            key = Key(id="k", dialect="any", algorithm="hmac-sha1", material=bytes.fromhex(case["key"]))
            expected = case["result"] == "valid" and group["tagSize"] == 160
            assert holds(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["tag"])) is expected, case["tcId"]
            counted += 1
    assert counted == 170


def test_rsa_sha256_answers_as_wycheproof_says() -> None:
    """Forged paddings, missing NULLs and other hashes included; what is merely acceptable is not accepted."""
    counted = 0
    for group in groups("rsa_signature_2048_sha256_test.json"):
        public = bytes.fromhex(group["publicKeyDer"])
        key = Key(id="k", dialect="any", algorithm="rsa-sha256", material=public)
        for case in group["tests"]:
            expected = case["result"] == "valid"
            assert holds(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])) is expected, case["tcId"]
            counted += 1
    assert counted == 259


def test_rsa_keys_hold_for_their_own_hash_only() -> None:
    """One key pair in two algorithms: neither takes the other's signature."""
    new, old = pair_key("new", "any", "rsa-sha256"), pair_key("old", "any", "rsa-sha1")
    assert holds(new, b"m", sign(new, b"m"))
    assert holds(old, b"m", sign(old, b"m"))
    assert not holds(new, b"m", sign(old, b"m"))
    assert not holds(old, b"m", sign(new, b"m"))
    assert not holds(new, b"m", b"")


def test_ed25519_answers_as_wycheproof_says() -> None:
    """Malleable, truncated and padded signatures included."""
    counted = 0
    for group in groups("ed25519_test.json"):
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
            assert ed25519_holds(public, message, signature) is (case["result"] == "valid"), case["tcId"]
            counted += 1
    assert counted == 151


def test_ecdsa_answers_as_wycheproof_says() -> None:
    """Lax DER, padded and negative integers, r and s out of their range."""
    counted = 0
    for group in groups("ecdsa_secp256r1_sha256_test.json"):
        public = bytes.fromhex(group["publicKeyDer"])
        for case in group["tests"]:
            signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
            assert ecdsa_holds(public, message, signature) is (case["result"] == "valid"), case["tcId"]
            counted += 1
    assert counted == 484


@pytest.mark.parametrize("algorithm", ["ed25519", "md5"])
def test_an_algorithm_is_never_taken_for_another(algorithm: Any) -> None:
    """A MAC made with a public key, or by a key of another kind, holds for nothing."""
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    forged = hmac.digest(public, b"message", "sha256")
    key = Key(id="k", dialect="native", algorithm=algorithm, material=public)
    assert not Native().holds(presented(forged, b"message"), key)
