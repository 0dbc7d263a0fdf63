"""Lints a template: its own rules, and those that need to know which sites use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from countermark.policy.model import Element
from countermark.policy.rules import RULES, Found, Rule, Severity
from countermark.policy.template import Template
from countermark.signing.dialect import Capabilities

UNSIGNABLE = Rule(
    id="P027",
    severity="error",
    title="a site's dialect cannot sign what is required",
    remedy="take the dialect out of the site's `accept`, or give the site a template that asks for less",
)
UNUSED = Rule(
    id="P028",
    severity="info",
    title="no site uses it",
    remedy="name it in `sites[].policy`, or delete the file",
)
IDLE = Rule(
    id="P029",
    severity="info",
    title="a rule is accepted that finds nothing",
    remedy="take it out of `accept`",
)
ALL: tuple[Rule, ...] = (*RULES, UNSIGNABLE, UNUSED, IDLE)


class SiteUse(Struct, frozen=True, kw_only=True):
    """A site, the template that it names ("" for none) and the dialects that it accepts."""

    name: str
    template: str
    dialects: Mapping[str, Capabilities]


class Finding(Struct, frozen=True, kw_only=True):
    """One rule that a template breaks, and where."""

    rule: str
    severity: Severity
    template: str
    path: str
    message: str
    remedy: str
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.rule} {self.severity}: {self.path}: {self.message}; {self.remedy}"


def lint(template: Template, sites: Sequence[SiteUse] | None = None) -> list[Finding]:
    """What a template breaks, in the order in which it is written. `sites` None: it is not known who uses it."""
    found: list[tuple[Rule, Found]] = [(rule, fault) for rule in RULES for fault in rule.find(template)]
    accepted = template.file.accept
    checked = {rule.id for rule in ALL}
    if sites is None:
        # They may well find something where the settings are known.
        checked -= {UNSIGNABLE.id, UNUSED.id}
    else:
        found += [(UNSIGNABLE, fault) for fault in _unsignable(template, sites)]
        found += [(UNUSED, fault) for fault in _unused(template, sites)]
    broken = {rule.id for rule, _ in found}
    found = [(rule, fault) for rule, fault in found if rule.id not in accepted]
    found += [(IDLE, (f"accept.{id}", f"{id} finds nothing here")) for id in accepted if id in checked - broken]
    found += [
        (IDLE, (f"accept.{id}", f"there is no rule {id!r}")) for id in accepted.keys() - {rule.id for rule in ALL}
    ]
    findings = [_finding(template, rule, *fault) for rule, fault in found]
    return sorted(findings, key=lambda finding: (finding.line, finding.column, finding.rule, finding.message))


def _finding(template: Template, rule: Rule, path: str, message: str) -> Finding:
    place = template.place(path)
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        template=template.name,
        path=path,
        message=message,
        remedy=rule.remedy,
        file=place.file,
        line=place.line,
        column=place.column,
    )


def _unsignable(template: Template, sites: Sequence[SiteUse]) -> Iterator[Found]:
    for site in sites:
        if site.template != template.name:
            continue
        for dialect, facts in site.dialects.items():
            for path, what in _lacking(template, facts):
                yield path, f"site {site.name} accepts {dialect}, whose URLs {what}"


def _lacking(template: Template, facts: Capabilities) -> Iterator[Found]:
    for element in template.elements:
        if not _signs(facts, element):
            yield _written_as(template, element), f"cannot sign {element}"
    if template.file.expires.ttl and not facts.expiry:
        yield "expires.ttl", "have no end"
    covered = {
        "method-unsigned": facts.signs_method,
        "host-unsigned": facts.signs_host,
        "query-unsigned": facts.signs_query,
    }
    for weakness, signed in covered.items():
        if weakness in template.weaknesses and not signed:
            yield "refuse_weak", f"are {weakness}"


def _signs(facts: Capabilities, element: Element) -> bool:
    if element == "address":
        return facts.address
    return element in facts.binds or (element == "jti" and "once" in facts.binds)


def _written_as(template: Template, element: Element) -> str:
    """The key by which a template asks for a fact."""
    if element in template.file.require:
        return f"require[{template.file.require.index(element)}]"
    implied = {
        "session": "expires.session_end",
        "once": "uses",
        "address": "network.bind",
        "context": "contexts",
        "preset": "transforms.presets",
    }
    return implied[element]


def _unused(template: Template, sites: Sequence[SiteUse]) -> Iterator[Found]:
    if template.file.endpoint == "render" and all(site.template != template.name for site in sites):
        yield "template", "no site of the settings names it"
