"""Policy templates as people who answer for them see them: what is written down, for how long, and who looks at it."""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from countermark.core.audit import Detail
from countermark.policy.model import Cadence
from countermark.policy.template import Template


class RegionFacts(Struct, frozen=True, kw_only=True):
    """What a region's law asks. `retention` in seconds, 0: the template's; `closed`: nothing is shown there."""

    name: str
    countries: tuple[str, ...]
    note: str
    retention: int
    closed: bool


class TemplateFacts(Struct, frozen=True, kw_only=True):
    """A policy template. `detail` is how much of a request is logged, `cadence` how often people are to review that,
    `retention` the seconds for which it may be kept (0: not said)."""

    name: str
    version: int
    description: str
    owner: str
    detail: Detail
    cadence: Cadence
    retention: int
    regions: tuple[RegionFacts, ...]


def template_facts(template: Template) -> TemplateFacts:
    """The facts of one template."""
    file = template.file
    return TemplateFacts(
        name=template.name,
        version=file.version,
        description=file.description,
        owner=file.owner,
        detail=file.audit.detail,
        cadence=file.audit.cadence,
        retention=template.retention.seconds,
        regions=tuple(
            RegionFacts(
                name=name,
                countries=region.countries,
                note=region.note,
                retention=ceil(region.retention),
                closed=region.closed,
            )
            for name, region in file.regions.items()
        ),
    )
