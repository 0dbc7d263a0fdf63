"""The lint's rules: what may be written in a template and is seldom meant. An id is never given to another rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from itertools import combinations
from typing import Literal

from msgspec import Struct

from countermark.core.grant import Network
from countermark.core.networks import NetworkSet
from countermark.policy.model import Risk
from countermark.policy.template import Template
from countermark.policy.trial import failures
from countermark.settings.units import format_duration

Severity = Literal["error", "warning", "info"]
Found = tuple[str, str]
"""A key's path and what is wrong there."""

LONGEST_REPLAY = 600
LONGEST = 86_400
_CADENCES = ("continuous", "real-time", "daily", "weekly", "monthly")
_REVIEWED: Mapping[Risk, str] = {"replay": "daily", "tampering": "weekly", "geo": "real-time", "key-leak": "continuous"}
_POOR_HASHES = frozenset({"md5", "sha1", "truncated"})


class Rule(Struct, frozen=True, kw_only=True):
    """One thing that is looked for. `remedy` says what to do about it."""

    id: str
    severity: Severity
    title: str
    remedy: str


class TemplateRule(Rule, frozen=True, kw_only=True):
    """A rule that needs nothing but the template."""

    find: Callable[[Template], Iterator[Found]]


def _risks(template: Template, risk: Risk) -> bool:
    return risk in template.file.risks


def _untied(template: Template) -> Iterator[Found]:
    if _risks(template, "tampering") and "transform_hash" not in template.elements:
        yield "require", "the risk tampering is named, and the transform hash need not be signed"


def _unbounded(template: Template) -> Iterator[Found]:
    rules = template.file.transforms
    bounded = rules.presets or rules.max_width or rules.max_height or "transform_hash" in template.elements
    if template.file.endpoint == "render" and not bounded:
        yield "transforms", "a URL may ask for any operation in any size"


def _long_for_replay(template: Template) -> Iterator[Found]:
    ttl = template.file.expires.ttl
    if _risks(template, "replay") and "once" not in template.elements and (not ttl or ttl > LONGEST_REPLAY):
        yield (
            "expires.ttl",
            "the risk replay is named, and a URL may be used again and again for longer than 10 minutes",
        )


def _long(template: Template) -> Iterator[Found]:
    ttl = template.file.expires.ttl
    if ttl > LONGEST:
        yield "expires.ttl", f"a URL may live {format_duration(ttl)}, longer than a day"


def _endless(template: Template) -> Iterator[Found]:
    if not template.file.expires.ttl and not template.file.expires.session_end:
        yield "expires", "neither a time nor a session ends a URL; only its key's longest life does"


def _without_session(template: Template) -> Iterator[Found]:
    if _risks(template, "replay") and "session" not in template.elements:
        yield "require", "the risk replay is named, and no session need be signed"


def _replayable(template: Template) -> Iterator[Found]:
    bound = {"once", "session", "address"} & set(template.elements)
    ttl = template.file.expires.ttl
    if not _risks(template, "replay") and not bound and (not ttl or ttl > LONGEST_REPLAY):
        yield "expires", "whoever gets hold of a URL may use it from anywhere for longer than 10 minutes"


def _countries_unsigned(template: Template) -> Iterator[Found]:
    if _risks(template, "geo") and "geo" not in template.elements:
        yield "require", "the risk geo is named, and the countries need not be signed"


def _countries_open(template: Template) -> Iterator[Found]:
    if _risks(template, "geo") and template.geography is None:
        yield "geo", "the risk geo is named, and every country is let in"


def _reusable(template: Template) -> Iterator[Found]:
    if _risks(template, "key-leak") and "once" not in template.elements:
        yield "uses", "the risk key-leak is named, and a URL opens many times"


def _shut_countries(template: Template) -> list[int]:
    deny = template.geography.deny.codes if template.geography else frozenset()
    return [index for index, code in enumerate(template.file.geo.allow) if code in deny or code[:2] in deny]


def _shut_networks(template: Template) -> list[int]:
    denied = NetworkSet(template.denied_networks)
    return [index for index, network in _written_networks(template.file.network.allow) if denied.covers(network)]


def _denied_too(template: Template) -> Iterator[Found]:
    for index in _shut_countries(template):
        yield f"geo.allow[{index}]", f"{template.file.geo.allow[index]} is allowed and denied, and deny wins"
    for index in _shut_networks(template):
        yield f"network.allow[{index}]", f"{template.file.network.allow[index]} is allowed and denied, and deny wins"


def _nobody(template: Template) -> Iterator[Found]:
    allow = template.file.geo.allow
    if allow and len(_shut_countries(template)) == len(allow):
        yield "geo.allow", "all countries that are allowed are denied, too; nobody gets in"
    networks = template.networks
    if networks is None or networks.allow is None:
        return
    if NetworkSet([*template.denied_networks, *template.allowed_networks]) == networks.deny:
        yield "network.allow", "all networks that are allowed are denied, too, or there is none; nobody gets in"


def _never_asked(template: Template) -> Iterator[Found]:
    allow = template.file.geo.allow
    for index, code in enumerate(template.file.geo.deny):
        if allow and not any(code in (other, other[:2]) or other == code[:2] for other in allow):
            yield f"geo.deny[{index}]", f"{code} is not allowed in the first place"
    if not template.allowed_networks:
        return
    allowed = NetworkSet(template.allowed_networks)
    for index, network in _written_networks(template.file.network.deny):
        if not allowed.overlaps(network):
            yield f"network.deny[{index}]", f"{network} is not allowed in the first place"


def _said_already(template: Template) -> Iterator[Found]:
    for path, codes in (("geo.allow", template.file.geo.allow), ("geo.deny", template.file.geo.deny)):
        for index, code in enumerate(codes):
            if code in codes[:index] or ("-" in code and code[:2] in codes):
                yield f"{path}[{index}]", f"{code} is in this list already"
    for path, entries in (("network.allow", template.file.network.allow), ("network.deny", template.file.network.deny)):
        yield from _said_networks(path, entries)
    presets = template.file.transforms.presets
    for index, preset in enumerate(presets):
        if preset in presets[:index]:
            yield f"transforms.presets[{index}]", f"{preset} is in this list already"


def _said_networks(path: str, entries: tuple[str, ...]) -> Iterator[Found]:
    seen: set[Network] = set()
    written = list(_written_networks(entries))
    wide = {network for _, network in written}
    for index, network in written:
        above = (network.supernet(new_prefix=length) for length in range(network.prefixlen))
        if network in seen or any(other in wide for other in above):
            yield f"{path}[{index}]", f"{network} is in this list already"
        seen.add(network)


def _written_networks(entries: tuple[str, ...]) -> Iterator[tuple[int, Network]]:
    for index, entry in enumerate(entries):
        if not entry.endswith(".txt"):
            yield index, ip_network(entry)


def _without_ceiling(template: Template) -> Iterator[Found]:
    if not template.ceilings:
        yield "ceiling", "nothing bounds how many requests come"


def _nameless(template: Template) -> Iterator[Found]:
    for ceiling in template.ceilings:
        if ceiling.counted in ("client", "session") and ceiling.counted not in template.elements:
            yield (
                f"ceiling.{ceiling.counted}",
                f"URLs need not name a {ceiling.counted}, and all that do not share one count",
            )


def _without_retention(template: Template) -> Iterator[Found]:
    if not template.file.retention:
        yield "retention", "nothing says how long audit records are kept"


def _without_owner(template: Template) -> Iterator[Found]:
    if not template.file.owner:
        yield "owner", "nobody answers for this template"


def _without_risk(template: Template) -> Iterator[Found]:
    if not template.file.risks:
        yield "risks", "no risk is named, so that no rule of the risk table is asked for"


def _without_examples(template: Template) -> Iterator[Found]:
    for word in ("permit", "deny"):
        if not any(getattr(example, word) for example in template.file.examples):
            yield "examples", f"no example begins with `{word}`"


def _alike(template: Template) -> Iterator[Found]:
    for (_, first), (index, second) in combinations(enumerate(template.file.examples), 2):
        if first.request == second.request:
            yield f"examples[{index}]", f"the request is the same as that of {first.permit or first.deny!r}"


def _wrong_examples(template: Template) -> Iterator[Found]:
    for failure in failures(template):
        yield failure.path, failure.message


def _poor_hashes(template: Template) -> Iterator[Found]:
    missing = ", ".join(sorted(_POOR_HASHES - template.weaknesses))
    for risk in ("tampering", "key-leak"):
        if missing and risk in template.file.risks:
            yield "refuse_weak", f"the risk {risk} is named, and poor signatures are taken: {missing}"
            return


def _seldom_reviewed(template: Template) -> Iterator[Found]:
    cadence = template.file.audit.cadence
    for risk in template.file.risks:
        if _CADENCES.index(cadence) > _CADENCES.index(_REVIEWED[risk]):
            yield "audit.cadence", f"{cadence} is too seldom for the risk {risk}, which wants {_REVIEWED[risk]}"


def _untold(template: Template) -> Iterator[Found]:
    if template.file.risks and "template" not in template.file.respond.headers:
        yield "respond.headers", "answers do not say which template let them out"


def _untraceable(template: Template) -> Iterator[Found]:
    if template.file.audit.detail == "brief" and "grant" in template.file.respond.headers:
        yield "audit.detail", "answers name their grant, and brief records do not"


def _unknown_place(template: Template) -> Iterator[Found]:
    if template.geography is not None and template.geography.unknown:
        yield "geo.unknown", "whose country is not known gets in, and hiding it is easy"


RULES = (
    TemplateRule(
        id="P001",
        severity="error",
        title="tampering without a signed transform hash",
        remedy="add transform_hash to `require`",
        find=_untied,
    ),
    TemplateRule(
        id="P002",
        severity="warning",
        title="no transform binding: any operation in any size",
        remedy="name `transforms.presets`, set `max_width` and `max_height`, or require transform_hash",
        find=_unbounded,
    ),
    TemplateRule(
        id="P003",
        severity="error",
        title="TTL too long for the risk replay",
        remedy="set `expires.ttl` to 10m or less, or `uses: once`",
        find=_long_for_replay,
    ),
    TemplateRule(
        id="P004",
        severity="warning",
        title="TTL longer than a day",
        remedy="sign shorter URLs and renew them, or accept P004 with the reason",
        find=_long,
    ),
    TemplateRule(
        id="P005",
        severity="warning",
        title="no end of its own",
        remedy="set `expires.ttl` or `expires.session_end`",
        find=_endless,
    ),
    TemplateRule(
        id="P006",
        severity="error",
        title="replay without a session",
        remedy="add session to `require`, or set `expires.session_end`",
        find=_without_session,
    ),
    TemplateRule(
        id="P007",
        severity="warning",
        title="replay is open, though it is not named",
        remedy="bind the URL to a session, an address (`network.bind`) or one use, or set `expires.ttl` to 10m or less",
        find=_replayable,
    ),
    TemplateRule(
        id="P008",
        severity="error",
        title="geo without signed countries",
        remedy="add geo to `require`",
        find=_countries_unsigned,
    ),
    TemplateRule(
        id="P009",
        severity="error",
        title="geo without a rule",
        remedy="name countries in `geo.allow` or `geo.deny`",
        find=_countries_open,
    ),
    TemplateRule(
        id="P010",
        severity="error",
        title="key leakage with URLs that open many times",
        remedy="set `uses: once`",
        find=_reusable,
    ),
    TemplateRule(
        id="P011",
        severity="warning",
        title="allowed and denied",
        remedy="take it out of one of the lists",
        find=_denied_too,
    ),
    TemplateRule(
        id="P012",
        severity="error",
        title="nobody gets in",
        remedy="leave something in `allow` that is not in `deny`",
        find=_nobody,
    ),
    TemplateRule(
        id="P013",
        severity="warning",
        title="unreachable rule: denied without being allowed",
        remedy="take it out of `deny`, or allow what it stands in",
        find=_never_asked,
    ),
    TemplateRule(
        id="P014",
        severity="info",
        title="said twice",
        remedy="take it out",
        find=_said_already,
    ),
    TemplateRule(
        id="P015",
        severity="warning",
        title="no ceiling",
        remedy="set one under `ceiling`, such as address: { requests: 600, per: 1m }",
        find=_without_ceiling,
    ),
    TemplateRule(
        id="P016",
        severity="warning",
        title="a ceiling by a name that is not required",
        remedy="add the name to `require`, or count by address",
        find=_nameless,
    ),
    TemplateRule(
        id="P017",
        severity="warning",
        title="no retention",
        remedy="set `retention`, such as 90d",
        find=_without_retention,
    ),
    TemplateRule(
        id="P018",
        severity="info",
        title="no owner",
        remedy="name a team under `owner`",
        find=_without_owner,
    ),
    TemplateRule(
        id="P019",
        severity="info",
        title="no risk named",
        remedy="name what it guards against under `risks`: replay, tampering, geo, key-leak",
        find=_without_risk,
    ),
    TemplateRule(
        id="P020",
        severity="warning",
        title="no example of a permit, or none of a deny",
        remedy="add one under `examples`; `countermark policy test` runs them",
        find=_without_examples,
    ),
    TemplateRule(
        id="P021",
        severity="warning",
        title="two examples of one request",
        remedy="change one, or take it out",
        find=_alike,
    ),
    TemplateRule(
        id="P022",
        severity="error",
        title="an example does not come out as it says",
        remedy="change the example or the rule",
        find=_wrong_examples,
    ),
    TemplateRule(
        id="P023",
        severity="warning",
        title="poor signatures are taken where tampering or key leakage is the risk",
        remedy="write `refuse_weak: [md5, sha1, truncated]`",
        find=_poor_hashes,
    ),
    TemplateRule(
        id="P024",
        severity="warning",
        title="audit too seldom for the risk",
        remedy="raise `audit.cadence`",
        find=_seldom_reviewed,
    ),
    TemplateRule(
        id="P025",
        severity="info",
        title="auditors cannot see the template",
        remedy="add template to `respond.headers`",
        find=_untold,
    ),
    TemplateRule(
        id="P026",
        severity="warning",
        title="unknown countries get in",
        remedy="leave `geo.unknown` at deny",
        find=_unknown_place,
    ),
    TemplateRule(
        id="P030",
        severity="info",
        title="grants of answers that no record has",
        remedy="set `audit.detail` to standard, or take grant out of `respond.headers`",
        find=_untraceable,
    ),
)
"""The rules that need nothing but the template."""
