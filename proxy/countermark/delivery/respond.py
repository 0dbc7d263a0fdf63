"""Respond: headers that tell caches the truth and never outlive the permission."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from math import ceil

from countermark.core.answer import Answer
from countermark.core.events import RequestEvent
from countermark.core.grant import Grant
from countermark.core.picture import Rendition
from countermark.core.request import EdgeRequest
from countermark.delivery.conditions import not_modified, wanted_range
from countermark.delivery.holder import Holder
from countermark.delivery.obtain import Obtained, Passage, Unchanged
from countermark.delivery.sites import Site
from countermark.delivery.warrants import Warrant
from countermark.identity.surrogate import tags
from countermark.policy.decide import disclosed
from countermark.traffic.gcra import Limit, Verdict, whole_seconds

Fields = list[tuple[str, str]]
Rates = tuple[tuple[str, str], ...]

# A picture is data and nothing else: never sniffed as a script, never a document with rights, never a Referer source.
SECURITY_FIELDS: tuple[tuple[str, str], ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Referrer-Policy", "no-referrer"),
)

# What asks for less than the whole answer.
_SELECTIVE = frozenset({"if-none-match", "if-modified-since", "range"})

_CACHE_STATUS = {
    "hit": "countermark; hit",
    "disk": "countermark; hit; detail=disk",
    "stale": "countermark; hit; detail=origin-away",
    "revalidated": "countermark; hit; detail=revalidated",
    "collapsed": "countermark; fwd=uri-miss; collapsed",
    "miss": "countermark; fwd=uri-miss; stored",
    "bypass": "countermark; fwd=bypass",
}


def cache_control(site: Site, grant: Grant, now: float) -> str:
    """Freshness for caches downstream: the site's wish, cut at the end of the permission (RFC 9111 §5.2).

    must-revalidate, because a cache that may serve stale would outlive the permission too. Only a site that has waived
    the cut for a dialect lets caches keep longer.
    """
    if grant.claims.once:
        return "private, no-store"
    seconds = grant.claims.cache_life or site.max_age
    if grant.expires is not None and not grant.claims.cache_life:
        seconds = min(seconds, grant.expires - int(now) - 1)
    if seconds <= 0:
        return "private, no-store"
    return f"{'public' if grant.shareable else 'private'}, max-age={seconds}, must-revalidate"


def respond(
    obtained: Obtained,
    warrant: Warrant,
    request: EdgeRequest,
    event: RequestEvent,
    verdicts: tuple[Verdict, ...] = (),
) -> Answer:
    """The answer, with where the request stands at its ceilings. Raises RangeNotSatisfiable."""
    rates = rate_state(verdicts)
    fields = _common_fields(obtained, warrant, request, event)
    if isinstance(obtained, Unchanged):
        return Answer(status=304, headers=tuple(fields), momentary=rates)
    if isinstance(obtained, Passage):
        return _passage(obtained, fields, rates)
    if not_modified(request.headers, obtained.etag, obtained.modified):
        return Answer(status=304, headers=tuple(fields), momentary=rates)
    return _rendition(obtained, fields, rates, request)


def respond_at_hand(
    rendition: Rendition, warrant: Warrant, request: EdgeRequest, event: RequestEvent, verdicts: tuple[Verdict, ...]
) -> Answer:
    """As `respond`, for a hit in memory that took no stage. Raises RangeNotSatisfiable."""
    if not _SELECTIVE.isdisjoint(request.headers):
        return respond(rendition, warrant, request, event, verdicts)
    told, second = warrant.told, int(request.received)
    if told.second != second or told.made != rendition.made or told.etag != rendition.etag:
        told.fields = respond(rendition, warrant, request, event).headers
        told.second, told.made, told.etag = second, rendition.made, rendition.etag
    if told.verdicts is not verdicts:
        told.verdicts, told.rates = verdicts, rate_state(verdicts)
    body = rendition.body
    return Answer(status=200, headers=told.fields, momentary=told.rates, body=body, length=len(body))


def _common_fields(obtained: Obtained, warrant: Warrant, request: EdgeRequest, event: RequestEvent) -> Fields:
    fields: Fields = [("Cache-Control", cache_control(warrant.site, warrant.grant, request.received))]
    if obtained.etag:
        fields.append(("ETag", obtained.etag))
    if obtained.modified is not None:
        fields.append(("Last-Modified", _http_date(int(obtained.modified))))
    if warrant.plan.vary_accept:
        fields.append(("Vary", "Accept"))
    fields.append(("Cache-Status", _CACHE_STATUS[event.cache]))
    if event.stages:
        fields.append(("Server-Timing", server_timing(event.stages)))
    fields.extend(warrant.fields)
    return fields


def lasting_fields(holder: Holder, grant: Grant, limits: tuple[Limit, ...]) -> tuple[tuple[str, str], ...]:
    """The fields that every answer to a warrant has: security, its ceilings, what its template shows to auditors,
    surrogate keys."""
    claims, template = grant.claims, holder.template
    fields = [*SECURITY_FIELDS, *rate_policy(limits)]
    if template is not None:
        fields += disclosed(template, claims)
    # A private answer is kept by no CDN; its tags would only tell browsers that two pictures have one client.
    if holder.site.tag_fields and grant.shareable:
        tagged = tags(grant, template=template.name if template else "")
        fields += [(field.name, field.separator.join(tagged)) for field in holder.site.tag_fields]
    return tuple(fields)


def rate_policy(limits: tuple[Limit, ...]) -> Fields:
    """RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10): quota and window in whole seconds."""
    told = [f'"{limit.name}";q={limit.burst};w={whole_seconds(limit.interval * limit.burst)}' for limit in limits]
    return [("RateLimit-Policy", ", ".join(told))] if told else []


def rate_state(verdicts: tuple[Verdict, ...]) -> Rates:
    """RateLimit of the same draft: what remains, and when it is whole again."""
    if not verdicts:
        return ()
    told = ""
    for verdict in verdicts:
        told += f', "{verdict.limit.name}";r={verdict.remaining};t={ceil(verdict.reset) or 1}'
    return (("RateLimit", told[2:]),)


@lru_cache(1024)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def server_timing(stages: dict[str, float]) -> str:
    """Server-Timing (W3C): stage durations in milliseconds."""
    return ", ".join(f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in stages.items())


def _rendition(rendition: Rendition, fields: Fields, rates: Rates, request: EdgeRequest) -> Answer:
    fields.append(("Content-Type", rendition.content_type))
    fields.append(("Accept-Ranges", "bytes"))
    size = len(rendition.body)
    part = wanted_range(request.headers, rendition.etag, size) if request.method == "GET" else None
    if part is None:
        return Answer(status=200, headers=tuple(fields), momentary=rates, body=rendition.body, length=size)
    fields.append(("Content-Range", f"bytes {part.first}-{part.last}/{size}"))
    body = rendition.body[part.first : part.last + 1]
    return Answer(status=206, headers=tuple(fields), momentary=rates, body=body, length=len(body))


def _passage(passage: Passage, fields: Fields, rates: Rates) -> Answer:
    fields.append(("Content-Type", passage.content_type))
    size, part = passage.facts.size, passage.part
    if passage.etag and size is not None:
        fields.append(("Accept-Ranges", "bytes"))
    if part is None:
        return Answer(status=200, headers=tuple(fields), momentary=rates, stream=passage.stream, length=size)
    fields.append(("Content-Range", f"bytes {part.first}-{part.last}/{size}"))
    return Answer(
        status=206, headers=tuple(fields), momentary=rates, stream=passage.stream, length=part.last - part.first + 1
    )
