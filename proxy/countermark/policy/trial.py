"""What would happen to a request: the whole way from its credentials to its ceilings, without a gateway."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from msgspec import Struct

from countermark.core.errors import CountermarkError, RateLimited, SessionEnded, Used
from countermark.core.grant import Claims
from countermark.imaging.operations import Operations, normalise, transform_hash
from countermark.imaging.presets import read_presets
from countermark.keys.keyring import Key
from countermark.policy import decide
from countermark.policy.model import Situation
from countermark.policy.template import Template
from countermark.signing.verify import Proof
from countermark.signing.verify import admit as admit_proof
from countermark.traffic.gcra import advance, whole_seconds

REASONS = (
    "element_missing", "transform_refused", "lifetime_exceeded", "expired", "country_not_allowed", "country_mismatch",
    "client_ip_not_allowed", "address_mismatch", "session_ended", "used", "rate_limited",
)  # fmt: skip
"""Why a request that a template knows may be refused."""

_NOW = 1_800_000_000
# Signs for longer than any template allows, so that the template alone decides.
_KEY = Key(id="trial", dialect="native", algorithm="hmac-sha256", material=b"", max_life=20 * 365 * 86_400)


class Outcome(Struct, frozen=True):
    """`reason` is "" for a request that is let through; `detail` is what its client is told else."""

    reason: str = ""
    detail: str = ""


class Told(Struct, frozen=True, kw_only=True):
    """An example that does not come out as it says. `path` is the example's in its file."""

    path: str
    message: str


def attempt(template: Template, situation: Situation) -> Outcome:
    """What the gateway says to such a request at a site of this template."""
    try:
        _pass(template, situation)
    except CountermarkError as error:
        return Outcome(error.reason, error.detail)
    return Outcome()


def failures(template: Template) -> list[Told]:
    """The examples of a template whose outcome is not theirs."""
    found = []
    for index, example in enumerate(template.file.examples):
        outcome = attempt(template, example.request)
        if outcome.reason == example.reason:
            continue
        words = example.permit or example.deny
        wanted = f"should be refused for {example.reason}" if example.reason else "should be permitted"
        was = f"is refused for {outcome.reason}: {outcome.detail.rstrip('.')}" if outcome.reason else "is permitted"
        found.append(Told(path=f"examples[{index}]", message=f"{words!r} {wanted}, and {was}"))
    return found


def _pass(template: Template, situation: Situation) -> None:
    operations = _operations(situation)
    claims = _claims(situation, operations)
    address = ip_address(situation.client_address)
    admit_proof(Proof(claims=claims, key=_KEY), address, _NOW, country=situation.country)
    if claims.session and situation.session == "ended":
        raise SessionEnded("The session that this URL was signed for has ended.")
    decide.inspect(template, claims, operations, situation.preset)
    moment = decide.Moment(now=_NOW, address=address, country=situation.country, region=situation.region)
    decide.admit(template, claims, moment)
    _count(template, claims, situation)
    if claims.once and situation.use > 1:
        raise Used("This URL opens one time only, and it has.")


def _count(template: Template, claims: Claims, situation: Situation) -> None:
    for limit in decide.limits(template, claims, situation.client_address):
        if limit.name != "template" and limit.name not in situation.same:
            continue
        # Where the bucket stands after all the requests before this one.
        tat = _NOW + (situation.nth - 1) * limit.interval
        if situation.every:
            tat = max(tat, _NOW + limit.interval * limit.burst - situation.every)
        _, verdict = advance(tat, _NOW, limit)
        if not verdict.allowed:
            wait = whole_seconds(verdict.retry_after)
            raise RateLimited(f"Too many requests for this {limit.name}.", retry_after=wait, limit=limit.name)


def _operations(situation: Situation) -> Operations | None:
    if not situation.operations:
        return None
    return normalise(read_presets({"": situation.operations})[""].operations)


def _claims(situation: Situation, operations: Operations | None) -> Claims:
    signs = frozenset(situation.signs)
    issued = _NOW - int(situation.age)
    return Claims(
        dialect="native",
        syntax="native",
        key_id=_KEY.id,
        id=bytes(32),
        path="/picture.jpg",
        pairs=(),
        expires=None if situation.life == "never" else issued + int(situation.life),
        not_before=issued if "not_before" in signs else None,
        issued=issued if "issued" in signs else None,
        address=ip_network(situation.address) if situation.address else None,
        preset=situation.preset,
        transform_hash=transform_hash(operations or Operations()) if "transform_hash" in signs else "",
        once="o1" if "once" in signs else "",
        client_id="c1" if "client" in signs else "",
        user="u1" if "user" in signs else "",
        session="s1" if "session" in signs else "",
        jti="j1" if "jti" in signs else "",
        context=situation.context,
        countries=frozenset(situation.geo),
        confidence=frozenset(situation.weak),
    )
