"""Requests at which two templates can differ: every boundary that either of them draws, and one step beyond it.

A template decides axis by axis: it lets a request in when each of these says yes for itself. So the requests that it lets
in are the product of what it takes on each axis, and two templates are compared exactly by comparing their axes. Where
keys work upon one another (the sides with dpr, what "original" means), they are one axis, probed by the cross product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import product
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.audit import Retention
from countermark.core.grant import Network
from countermark.core.request import Address
from countermark.policy.countries import COUNTRIES
from countermark.policy.model import Counted, Element, Operation, Situation, TemplateFile, TransformRules, Weakness
from countermark.policy.template import Template
from countermark.settings.units import format_duration

_FREE: tuple[Element, ...] = ("user", "client", "session", "not_before", "transform_hash")
_WEAKNESSES: tuple[Weakness, ...] = (
    "md5", "sha1", "truncated", "case-folded", "method-unsigned", "host-unsigned", "query-unsigned",
)  # fmt: skip
_FORMATS = ("source", "auto", "jpeg", "png", "webp", "avif", "gif")
_OPERATIONS: Mapping[Operation, str] = {
    "crop": "crop=0,0,9,9",
    "fit": "fit=cover&enlarge=0",
    "enlarge": "fit=cover",
    "gravity": "fit=cover&enlarge=0&g=north",
    "rotate": "rot=90",
    "flip": "flip=h",
    "background": "bg=ffffff",
    "blur": "blur=1",
    "sharpen": "sharpen=1",
    "metadata": "meta=copyright",
    "animated": "anim=0",
}
_WIDEST = 65_535
_ADDRESSES = (ip_address("203.0.113.7"), ip_address("2001:db8::7"))
_MOST_ADDRESSES = 500
_OPEN = Template(
    name="",
    file=TemplateFile(template=""),
    places={},
    elements=(),
    contexts=frozenset(),
    weaknesses=frozenset(),
    presets=frozenset(),
    formats=frozenset(),
    geography=None,
    networks=None,
    ceilings=(),
    retention=Retention(),
    allowed_networks=(),
    denied_networks=(),
)
"""Lets everything in; an axis puts on it what it is about."""


class Probe(Struct, frozen=True):
    """One place on an axis: in words, and as what it says of a request."""

    label: str
    says: Mapping[str, Any]


class Axis(Struct, frozen=True):
    """One thing that a template decides by. `alone` is a template that decides by nothing else."""

    name: str
    probes: tuple[Probe, ...]
    alone: Callable[[Template], Template]


def axes(old: Template, new: Template) -> tuple[Axis, ...]:
    """All axes, with the boundaries of both templates."""
    both = (old, new)
    return (
        Axis("signed facts", tuple(_facts()), _about(_FREE)),
        Axis("single use", tuple(_uses()), _about(("once", "jti"))),
        Axis("context", tuple(_contexts(both)), _about(("context",), "contexts")),
        Axis("signature format", tuple(_formats_of_signatures()), _about((), "weaknesses")),
        Axis("life", tuple(_lives(both)), _about(("issued",), file=("expires",))),
        Axis("preset", tuple(_presets(both)), _about(("preset",), "presets")),
        Axis("format and quality", tuple(_formats(both)), _about_formats),
        Axis("operations", tuple(_sizes(both)), _about((), file=("transforms",))),
        Axis("country", tuple(_countries(both)), _about(("geo",), "geography")),
        Axis("network", tuple(_networks(both)), _about(("address",), "networks", file=("network",))),
        Axis("ceiling", tuple(_ceilings(both)), _about((), "ceilings")),
    )


def situation(says: Iterable[Mapping[str, Any]]) -> Situation:
    """The request of which all this is said."""
    merged: dict[str, Any] = {"signs": (), "operations": ""}
    for part in says:
        merged |= {
            **part,
            "signs": (*merged["signs"], *part.get("signs", ())),
            "operations": "&".join(filter(None, (merged["operations"], part.get("operations", "")))),
        }
    return Situation(**merged)


def _about(elements: tuple[Element, ...], *fields: str, file: tuple[str, ...] = ()) -> Callable[[Template], Template]:
    def alone(template: Template) -> Template:
        return replace(
            _OPEN,
            elements=tuple(element for element in template.elements if element in elements),
            file=replace(_OPEN.file, **{name: getattr(template.file, name) for name in file}),
            **{name: getattr(template, name) for name in fields},
        )

    return alone


def _about_formats(template: Template) -> Template:
    rules = template.file.transforms
    kept = TransformRules(min_quality=rules.min_quality, max_quality=rules.max_quality)
    return replace(_OPEN, formats=template.formats, file=replace(_OPEN.file, transforms=kept))


def _facts() -> Iterator[Probe]:
    yield Probe("all signed", {"signs": _FREE})
    for fact in _FREE:
        yield Probe(f"{fact} not signed", {"signs": tuple(other for other in _FREE if other != fact)})


def _uses() -> Iterator[Probe]:
    yield Probe("a jti, many uses", {"signs": ("jti",)})
    yield Probe("a jti, one use", {"signs": ("jti", "once")})
    yield Probe("one use", {"signs": ("once",)})
    yield Probe("neither jti nor one use", {})


def _contexts(both: tuple[Template, ...]) -> Iterator[Probe]:
    yield Probe("no context", {})
    for name in sorted({name for template in both for name in template.contexts}):
        yield Probe(name, {"context": name})
    yield Probe("any other context", {"context": "any-other"})


def _formats_of_signatures() -> Iterator[Probe]:
    yield Probe("none of its weaknesses", {})
    for weakness in _WEAKNESSES:
        yield Probe(weakness, {"weak": (weakness,)})


def _lives(both: tuple[Template, ...]) -> Iterator[Probe]:
    bounds = {template.file.expires.ttl for template in both} - {0}
    lives = sorted({life for bound in bounds for life in (max(1.0, bound // 1), bound // 1 + 1)} or {60.0})
    required = _required(both, "issued")
    for signs, words in (((), ", issue not signed"), (("issued",), ", issue signed")):
        for life in lives:
            yield Probe(f"{format_duration(life)}{words if required else ''}", {"life": life, "signs": signs})
        yield Probe(f"no end{words if required else ''}", {"life": "never", "signs": signs})


def _required(both: tuple[Template, ...], element: Element) -> bool:
    return any(element in template.elements for template in both)


def _presets(both: tuple[Template, ...]) -> Iterator[Probe]:
    yield Probe("no preset", {})
    for name in sorted({name for template in both for name in template.presets}):
        yield Probe(name, {"preset": name})
    yield Probe("any other preset", {"preset": "any-other"})


def _formats(both: tuple[Template, ...]) -> Iterator[Probe]:
    rules = [template.file.transforms for template in both]
    bounds = {rule.min_quality for rule in rules} | {rule.max_quality for rule in rules}
    near = {bound + step for bound in bounds for step in (-1, 0, 1)}
    qualities = ["", *(f"q={quality}" for quality in sorted(near) if 1 <= quality <= 100)]
    for name, quality in product(_FORMATS, qualities):
        operations = "&".join(filter(None, ("" if name == "source" else f"fm={name}", quality)))
        yield Probe(operations or "no format", {"operations": operations})


def _sizes(both: tuple[Template, ...]) -> Iterator[Probe]:
    rules = [template.file.transforms for template in both]
    widths = ["w=1", *_sides("w", (rule.max_width for rule in rules)), ""]
    heights = ["h=1", *_sides("h", (rule.max_height for rule in rules)), ""]
    ratios = {1.01, *(rule.max_dpr for rule in rules), *(min(5, rule.max_dpr + 0.01) for rule in rules)} - {1}
    forbidden = {operation for rule in rules for operation in rule.forbid}
    others = ["", *(text for operation, text in _OPERATIONS.items() if operation in forbidden)]
    for parts in product(others, ["", *(f"dpr={ratio:g}" for ratio in sorted(ratios))], widths, heights):
        operations = "&".join(filter(None, reversed(parts)))
        yield Probe(operations or "the original", {"operations": operations})


def _sides(name: str, bounds: Iterable[int]) -> list[str]:
    sides = {side for bound in set(bounds) - {0} for side in (bound, bound + 1)}
    return [f"{name}={side}" for side in sorted(sides) if 1 < side <= _WIDEST]


def _countries(both: tuple[Template, ...]) -> Iterator[Probe]:
    geographies = [template.geography for template in both if template.geography is not None]
    codes = {code for rule in geographies for places in (rule.allow, rule.deny) if places for code in places.codes}
    named = {code[:2] for code in codes}
    split = {code[:2] for code in codes if "-" in code}
    another = next((country for country in sorted(COUNTRIES) if country not in named), "")
    places = [("country not known", "", ""), ("any other country", another, "")]
    places += [(country, country, "") for country in sorted(named - split)]
    places += [(f"{country}, region not known", country, "") for country in sorted(split)]
    places += [(code, code[:2], code[3:]) for code in sorted(codes) if "-" in code]
    # No code has this one.
    places += [(f"{country}, any other region", country, "0") for country in sorted(split)]
    required = _required(both, "geo")
    for label, country, region in places:
        facts = {"country": country, "region": region}
        yield Probe(f"{label}, not signed" if required else label, facts)
        if country and required:
            yield Probe(label, {**facts, "geo": (country,)})


def _networks(both: tuple[Template, ...]) -> Iterator[Probe]:
    common, apart = _addresses(both)
    rules = [template.file.network for template in both]
    lengths = {
        4: {32, *(rule.bind_ipv4 - step for rule in rules for step in (0, 1))},
        6: {128, *(rule.bind_ipv6 - step for rule in rules for step in (0, 1))},
    }
    for address in common:
        family = f"an IPv{address.version} address"
        yield Probe(f"{family} that is not signed", {"client_address": str(address)})
        for length in sorted(lengths[address.version], reverse=True):
            network = ip_network((address, length), strict=False)
            facts = {"client_address": str(address), "address": str(network)}
            yield Probe(f"{family}, signed for a /{length}", facts)
    for address in apart:
        # Signed for itself it is bound as closely as any template asks.
        yield Probe(f"from {address} on", {"client_address": str(address)})
        yield Probe(f"from {address} on", {"client_address": str(address), "address": str(address)})


def _addresses(both: tuple[Template, ...]) -> tuple[list[Address], list[Address]]:
    """One of each family that both let in, and where they differ: between two edges of all their networks, what holds of
    one address holds of all."""
    common: dict[int, Address] = {}
    apart: dict[tuple[bool, ...], list[Address]] = {(False, True): [], (True, False): []}
    for address in [*_ADDRESSES, *_edges(both)]:
        answers = tuple(template.networks is None or template.networks.open(address) for template in both)
        if all(answers):
            common.setdefault(address.version, address)
        elif any(answers):
            apart[answers].append(address)
    # Bounded for each direction, so that a thousand closed networks do not hide one that was opened.
    return list(common.values()), [address for found in apart.values() for address in found[:_MOST_ADDRESSES]]


def _edges(both: tuple[Template, ...]) -> Iterator[Address]:
    networks: set[Network] = set()
    for template in both:
        networks.update(template.allowed_networks, template.denied_networks)
    for kind, version in ((IPv4Address, 4), (IPv6Address, 6)):
        family = [network for network in networks if network.version == version]
        edges = {int(network.network_address) for network in family}
        edges |= {int(network.broadcast_address) + 1 for network in family} - {2 ** kind(0).max_prefixlen}
        yield from map(kind, sorted(edges | {0}))


def _ceilings(both: tuple[Template, ...]) -> Iterator[Probe]:
    ceilings = [ceiling for template in both for ceiling in template.ceilings]
    counts = sorted({count for ceiling in ceilings for count in (ceiling.burst, ceiling.burst + 1)} | {1})
    paces = sorted({pace for ceiling in ceilings for pace in (ceiling.interval, ceiling.interval * 0.999)})
    shared: tuple[tuple[Counted, ...], ...] = (("client",), ("session",), ("address",), ())
    for same in shared:
        of = f"of one {same[0]}" if same else "of all together"
        for count in counts:
            yield Probe(f"{count} at once {of}", {"nth": count, "same": same})
        for pace in paces:
            yield Probe(f"{1 / pace:.4g} a second for long {of}", {"every": pace, "same": same})
