"""What verifying a URL of 200 characters costs in each dialect, against the bare primitive under it."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from benchmarks.figures import Figure, Goal, median, ratios
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting
from countermark.core.errors import CountermarkError
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.keys.keyring import HASHES, MACS, Algorithm, Key, Keyring
from countermark.keys.material import new_private, public_of
from countermark.settings.model import SiteSettings
from countermark.signing.dialect import Dialect, MintOrder, Realm
from countermark.signing.endless import UNLIMITED
from countermark.signing.primitives import sign
from countermark.signing.realm import realm_of, waivers
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate

LENGTH = 200
NOW = 1_764_000_000
HOST = "img.example.com"
CLIENT = ip_address("203.0.113.7")
CALLS = 500

# What the dialects sign: operations in the query, none, or those that stand in the path. The first that a dialect mints
# and takes is the one that is measured.
SHAPES = (
    "/shop/{}.jpg?w=800&h=600",
    "/shop/{}.jpg?width=800&height=600",
    "/shop/{}.jpg",
    "/rs:fit:800:600/plain/s3://pictures/{}.jpg",
    "/800x600/{}.jpg",
    "/image/upload/w_800/{}.jpg",
    "/tr:w-800/{}.jpg",
)

# Microseconds, on the class of machine that CI has.
NATIVE = Goal("at most", 40)
GOALS = {"ecdsa-p256": Goal("at most", 200), **dict.fromkeys((*MACS, *HASHES), Goal("at most", 60))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A URL of one dialect and algorithm that its realm takes."""

    dialect: str
    algorithm: Algorithm
    target: str
    realm: Realm
    key: Key
    message: bytes

    @property
    def name(self) -> str:
        """As a line of the result says it."""
        return f"{self.dialect}, {self.algorithm}"

    @property
    def goal(self) -> Goal | None:
        """What the whole path may take."""
        return NATIVE if self.name == "native, hmac-sha256" else GOALS.get(self.algorithm)


def measure(setting: Setting) -> Result:
    """From the raw target to the claims, and the primitive alone over the same bytes, in alternating rounds."""
    figures: list[Figure] = []
    notes = ["whole path: parse_target and authenticate; the primitive sees the bytes that the dialect hands to it"]
    cases, left_out = find_cases()
    for case in cases:
        setting.say(f"  {case.name}")
        both = {"whole": partial(_microseconds, whole(case)), "bare": partial(_microseconds, bare(case))}
        sides = alternate(both, setting.rounds(15, 5))
        figures.append(Figure(label=case.name, unit="µs", samples=tuple(sides["whole"]), goal=case.goal))
        share = ratios(sides["whole"], sides["bare"])
        figures.append(Figure(label=f"{case.name}: whole path / bare primitive", unit="x", samples=share))
        notes.append(f"{case.name}: {len(case.target)} characters, primitive {median(sides['bare']):.1f} µs")
    return Result(
        name="verify",
        title=f"verifying a URL of {LENGTH} characters",
        figures=tuple(figures),
        notes=(*notes, *(f"not measured: {line}" for line in left_out)),
    )


def find_cases() -> tuple[list[Case], list[str]]:
    """A case for each dialect and algorithm of the table, and a line for each that mints none of our shapes."""
    cases: list[Case] = []
    left_out: list[str] = []
    for name, dialect in DIALECTS.items():
        waived = {name: {option.name: "true" for option in dialect.options if option.name == UNLIMITED}}
        realm = realm_of(
            SiteSettings(name="shop", origin="pictures", accept=(name,), base_url=f"https://{HOST}", dialects=waived)
        )
        for algorithm in dialect.capabilities.algorithms:
            found = _case(dialect, algorithm, realm)
            if isinstance(found, Case):
                cases.append(found)
            else:
                left_out.append(f"{name}, {algorithm}: {found}")
    return cases, left_out


def whole(case: Case) -> Callable[[], Claims]:
    """The verify path."""
    keyring = Keyring([case.key])
    waive = waivers(case.realm)
    return lambda: authenticate(_request(case.target, waive), case.realm, keyring, NOW)


def bare(case: Case) -> Callable[[], object]:
    """The primitive over as many bytes."""
    algorithm, material, message = case.algorithm, case.key.material, case.message
    if algorithm in MACS:
        return lambda: hmac.digest(material, message, MACS[algorithm])
    if algorithm in HASHES:
        return lambda: hashlib.new(HASHES[algorithm], message + material, usedforsecurity=False).digest()
    signature = sign(case.key, message)
    if algorithm == "ed25519":
        ed25519 = Ed25519PublicKey.from_public_bytes(material)
        return lambda: ed25519.verify(signature, message)
    public = load_der_public_key(material)
    if isinstance(public, EllipticCurvePublicKey):
        return lambda: public.verify(signature, message, ECDSA(SHA256()))
    assert isinstance(public, RSAPublicKey)
    hashed = SHA1() if algorithm == "rsa-sha1" else SHA256()  # noqa: S303 - what the vendor signs with
    return lambda: public.verify(signature, message, PKCS1v15(), hashed)


def _case(dialect: Dialect, algorithm: Algorithm, realm: Realm) -> Case | str:
    """The case, or why the dialect's first shape was refused."""
    key = _key(dialect, algorithm)
    refusal = ""
    for shape in SHAPES:
        try:
            target = _minted(dialect, realm, key, shape)
            request = _request(target, waivers(realm))
            authenticate(request, realm, Keyring([key]), NOW)
            presented = dialect.read(request, realm)
        except CountermarkError as error:
            refusal = refusal or error.detail
            continue
        if presented is not None:
            message = presented.message
            return Case(dialect=dialect.name, algorithm=algorithm, target=target, realm=realm, key=key, message=message)
    return refusal


def _key(dialect: Dialect, algorithm: Algorithm) -> Key:
    salt = b"salt of the key" if dialect.capabilities.salted else b""
    if algorithm in MACS or algorithm in HASHES:
        material, private = b"0123456789abcdef0123456789abcdef", b""
    else:
        private = new_private(algorithm)
        material = public_of(algorithm, private)
    return Key(id="k1", dialect=dialect.name, algorithm=algorithm, material=material, private=private, salt=salt)


def _minted(dialect: Dialect, realm: Realm, key: Key, shape: str) -> str:
    """The signed target of a shape, with a name so long that the whole has LENGTH characters, or a few more."""
    order = MintOrder(now=NOW, expires=NOW + 600)
    waive = waivers(realm)
    short = dialect.mint(parse_target(shape.format("a"), waive=waive), realm, key, order)
    padded = shape.format("a" * max(1, LENGTH - len(short) + 1))
    return dialect.mint(parse_target(padded, waive=waive), realm, key, order)


def _request(raw: str, waive: frozenset[str]) -> EdgeRequest:
    return EdgeRequest(
        id="r",
        method="GET",
        target=parse_target(raw, waive=waive),
        host=HOST,
        client=CLIENT,
        headers={},
        received=float(NOW),
    )


def _microseconds(call: Callable[[], object]) -> float:
    """Of one call, over many."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS * 1e6
