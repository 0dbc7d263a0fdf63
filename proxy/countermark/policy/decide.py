"""What a template says to a request: once of what was signed, then at every moment at which it comes.

Expiry, signed addresses and signed countries were compared before, by `signing/verify.py`; a template only narrows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from countermark.core.errors import (
    ClientIpNotAllowed,
    CountryNotAllowed,
    ElementMissing,
    LifetimeExceeded,
    TransformRefused,
)
from countermark.core.grant import Claims
from countermark.core.request import Address
from countermark.imaging.operations import Operations
from countermark.policy.model import Element, Operation, TransformRules
from countermark.policy.template import Template
from countermark.traffic.gcra import Limit


class Moment(Struct, frozen=True, kw_only=True):
    """A request as it comes: unix seconds, the client's address, its country and region ("" where not known)."""

    now: float
    address: Address
    country: str = ""
    region: str = ""


SIGNED: Mapping[Element, Callable[[Claims], bool]] = {
    "user": lambda claims: bool(claims.user),
    "client": lambda claims: bool(claims.client_id),
    "session": lambda claims: bool(claims.session),
    "jti": lambda claims: bool(claims.jti or claims.once),
    "context": lambda claims: bool(claims.context),
    "preset": lambda claims: bool(claims.preset),
    "transform_hash": lambda claims: bool(claims.transform_hash),
    "geo": lambda claims: bool(claims.countries),
    "address": lambda claims: claims.address is not None,
    "once": lambda claims: bool(claims.once),
    "not_before": lambda claims: claims.not_before is not None,
    "issued": lambda claims: claims.issued is not None,
}
"""Whether a fact was signed."""

ASKED: Mapping[Operation, Callable[[Operations], bool]] = {
    "original": lambda operations: operations == Operations(),
    "crop": lambda operations: operations.region is not None,
    "enlarge": lambda operations: operations.fit in ("contain", "cover", "fill", "pad") and operations.enlarge,
    "fit": lambda operations: operations.fit != "scale-down",
    "gravity": lambda operations: operations.gravity != "center",
    "dpr": lambda operations: operations.dpr != 1,
    "rotate": lambda operations: operations.rotate != 0,
    "flip": lambda operations: operations.flip != "",
    "background": lambda operations: operations.background != "",
    "blur": lambda operations: operations.blur != 0,
    "sharpen": lambda operations: operations.sharpen != 0,
    "metadata": lambda operations: operations.metadata != "none",
    "animated": lambda operations: not operations.animated,
}
"""Whether an operation that can be forbidden is asked."""


def inspect(template: Template, claims: Claims, operations: Operations | None, preset: str) -> None:
    """What depends on the signed text alone, so that the answer may be kept with it.

    `operations` are all that would be done, normalised, those of the preset included; None is the picture as it is.
    `preset` is the preset's name, "" where none is named.

    Raises ElementMissing, LifetimeExceeded or TransformRefused.
    """
    _check_elements(template, claims)
    _check_binding(template, claims)
    _check_life(template, claims)
    _check_transforms(template, operations or Operations(), preset)


def admit(template: Template, claims: Claims, moment: Moment) -> None:
    """What depends on the moment and the client. Raises LifetimeExceeded, CountryNotAllowed or ClientIpNotAllowed."""
    ttl = template.file.expires.ttl
    # Where the issue is signed, `inspect` has measured the whole life; else what is left of it must fit.
    if ttl and claims.issued is None and claims.expires is not None and claims.expires - moment.now > ttl:
        raise _too_long(ttl)
    _check_country(template, moment)
    if template.networks is not None and not template.networks.open(moment.address):
        raise ClientIpNotAllowed("The policy is closed to this client address.", private=f"client is {moment.address}")


def limits(template: Template, claims: Claims, address: str) -> tuple[Limit, ...]:
    """The ceilings that a request counts against; `address` is what is counted as one client address, as text.

    URLs without the name by which a ceiling counts share one count: being nameless is no way around it.
    """
    names = {"client": claims.client_id, "session": claims.session, "address": address, "template": ""}
    return tuple(
        [
            Limit(
                name=ceiling.counted,
                key=f"{template.name}/{ceiling.counted}:{names[ceiling.counted]}",
                interval=ceiling.interval,
                burst=ceiling.burst,
            )
            for ceiling in template.ceilings
        ]
    )


def disclosed(template: Template, claims: Claims) -> tuple[tuple[str, str], ...]:
    """The response headers by which auditors hold templates and logs side by side, of a request that was let in."""
    values = {
        "template": ("Countermark-Template", template.label),
        "grant": ("Countermark-Grant", claims.id.hex()),
        "expires": ("Countermark-Expires", "" if claims.expires is None else str(claims.expires)),
        "client": ("Countermark-Client", claims.client_id),
    }
    return tuple([values[name] for name in template.file.respond.headers if values[name][1]])


def _check_elements(template: Template, claims: Claims) -> None:
    for element in template.elements:
        if not SIGNED[element](claims):
            raise ElementMissing(
                f"The policy {template.name} asks for a signature that covers {element}; this one does not."
            )
    if template.contexts and claims.context not in template.contexts:
        raise ElementMissing(f"The policy {template.name} is not for the context that this URL is signed for.")
    weak = sorted(template.weaknesses & claims.confidence)
    if weak:
        raise ElementMissing(f"The policy {template.name} does not take signatures of this format: {', '.join(weak)}.")


def _check_binding(template: Template, claims: Claims) -> None:
    rules = template.file.network
    if rules.bind == "none" or claims.address is None:
        return
    wide: int = claims.address.max_prefixlen
    if rules.bind == "prefix":
        wide = rules.bind_ipv4 if claims.address.version == 4 else rules.bind_ipv6
    # A URL that is signed for 0.0.0.0/0 is bound to nobody.
    if claims.address.prefixlen < wide:
        raise ElementMissing(
            f"The policy {template.name} asks for a URL that is bound to a network of /{wide} or smaller."
        )


def _check_life(template: Template, claims: Claims) -> None:
    ttl = template.file.expires.ttl
    if not ttl:
        return
    if claims.expires is None:
        raise LifetimeExceeded(
            f"The policy {template.name} asks for an end within {ttl:.15g} seconds; this URL has none."
        )
    if claims.issued is not None and claims.expires - claims.issued > ttl:
        raise _too_long(ttl)


def _too_long(ttl: float) -> LifetimeExceeded:
    return LifetimeExceeded(f"The URL lives longer than its policy allows: {ttl:.15g} seconds.")


def _check_transforms(template: Template, operations: Operations, preset: str) -> None:
    rules = template.file.transforms
    if template.presets and preset not in template.presets:
        raise _refused(template, "allows only some presets, and this URL names none of them")
    for operation in rules.forbid:
        if ASKED[operation](operations):
            raise _refused(template, f"forbids the operation {operation}")
    if template.formats and operations.format not in template.formats:
        raise _refused(template, f"does not allow the format {operations.format}")
    if operations.quality is not None and not rules.min_quality <= operations.quality <= rules.max_quality:
        raise _refused(template, f"allows a quality from {rules.min_quality} to {rules.max_quality}")
    if operations.dpr > rules.max_dpr:
        raise _refused(template, f"allows a dpr of {rules.max_dpr:g} at most")
    _check_side(template, rules, operations, "width")
    _check_side(template, rules, operations, "height")


def _check_side(template: Template, rules: TransformRules, operations: Operations, side: str) -> None:
    most: int = getattr(rules, f"max_{side}")
    if not most:
        return
    asked: int | None = getattr(operations, side)
    # A side that is not said follows from the picture, whose own could be any.
    if asked is None:
        raise _refused(template, f"allows a {side} of {most} pixels at most, and this URL says none")
    if asked * operations.dpr > most:
        raise _refused(template, f"allows a {side} of {most} pixels at most, counted with dpr")


def _refused(template: Template, what: str) -> TransformRefused:
    return TransformRefused(f"The policy {template.name} {what}.")


def _check_country(template: Template, moment: Moment) -> None:
    if template.geography is not None and not template.geography.open(moment.country, moment.region):
        place = f"{moment.country or 'not known'} {moment.region}".strip()
        raise CountryNotAllowed(
            "The policy is closed to the client's country, or it is not known.", private=f"country is {place}"
        )
