"""What a client means to sign, held against two policy templates side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from countermark.control.fronts import Front
from countermark.core.errors import CountermarkError, ParameterInvalid, TransformRefused
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.identity.session import Session, told_by
from countermark.imaging.operations import Operations
from countermark.imaging.presets import Preset
from countermark.imaging.syntax.table import SYNTAXES
from countermark.keys.keyring import Key, Keyring
from countermark.signing.native import Native, mint_native
from countermark.signing.realm import waivers
from countermark.signing.verify import prove

Rule = Callable[[Claims, Operations | None, str], None]
"""A template's word on what was signed (`policy/decide.inspect`): claims, operations, preset. It raises what refuses."""

ALLOWED = "allowed"

_NATIVE = Native()
_FILLED_IN = frozenset({"sig", "kid", "exp"})
_NOWHERE = ip_address("192.0.2.0")  # RFC 5737: `prove` looks at no address


class Comparison(Struct, frozen=True, kw_only=True):
    """One target under both templates: "allowed", or the reason and sentence with which it is refused."""

    target: str
    old: str
    new: str


class Bench(Struct, frozen=True, kw_only=True):
    """What targets are read and judged with: rules by the name of their template, presets by theirs."""

    rules: Mapping[str, Rule] = {}
    presets: Mapping[str, Preset] = {}

    def rule(self, name: str) -> Rule | None:
        """The template's rule; None for the name "", where everything is allowed that was signed."""
        return self.rules[name] if name else None


def compare(
    targets: Sequence[str], *, bench: Bench, front: Front, session: Session, old: str, new: str, life: int, now: float
) -> tuple[Comparison, ...]:
    """The targets that one of the templates `old` and `new` refuses.

    A target is a raw path with operations and bound facts, as it will be signed; kid, exp (`life` seconds from now) and sig
    are filled in.
    """
    found = []
    for target in targets:
        try:
            claims = _claims(target, front, session, life, now)
            operations = _operations(claims, bench.presets)
        except CountermarkError as error:
            refused = _said(error)
            found.append(Comparison(target=target, old=refused, new=refused))
            continue
        before, after = (_judged(bench.rule(name), claims, operations) for name in (old, new))
        if (before, after) != (ALLOWED, ALLOWED):
            found.append(Comparison(target=target, old=before, new=after))
    return tuple(found)


def _claims(raw: str, front: Front, session: Session, life: int, now: float) -> Claims:
    """What such a URL will prove; it is signed with a key that stands for the session's, and read as a request is."""
    waive = waivers(front.realm)
    target = parse_target(raw, waive=waive)
    names = {pair.name for pair in target.pairs}
    if named := names & _FILLED_IN:
        raise ParameterInvalid(f"{', '.join(sorted(named))} is filled in here; leave it out.")
    facts = {pair.name: pair.value for pair in target.pairs if pair.name in _NATIVE.reserved}
    pairs = tuple(pair for pair in target.pairs if pair.name not in _NATIVE.reserved)
    key = Key(id=session.key_id, dialect="native", algorithm="hmac-sha256", material=bytes(32))
    bare = parse_target(target.path + ("?" + "&".join(pair.raw for pair in pairs) if pairs else ""), waive=waive)
    signed = mint_native(bare, audience=front.realm.audience, key=key, expires=int(now) + life, facts=facts)
    request = EdgeRequest(
        id="",
        method="GET",
        target=parse_target(signed, waive=waive),
        host="",
        client=_NOWHERE,
        headers={},
        received=now,
    )
    return told_by(session, prove(request, replace(front.realm, dialects=("native",)), Keyring([key])).claims)


def _operations(claims: Claims, presets: Mapping[str, Preset]) -> Operations | None:
    preset = presets.get(claims.preset) if claims.preset else None
    if claims.preset and preset is None:
        raise TransformRefused(f"There is no preset '{claims.preset[:40]}'.")
    if preset is not None and claims.transform_hash and claims.transform_hash != preset.hash:
        raise TransformRefused(f"The preset '{claims.preset[:40]}' is not the one that th stands for.")
    return SYNTAXES[claims.syntax](claims.pairs, None if preset is None else preset.operations)


def _judged(rule: Rule | None, claims: Claims, operations: Operations | None) -> str:
    if rule is None:
        return ALLOWED
    try:
        rule(claims, operations, claims.preset)
    except CountermarkError as error:
        return _said(error)
    return ALLOWED


def _said(error: CountermarkError) -> str:
    return f"{error.reason}: {error.detail}"
