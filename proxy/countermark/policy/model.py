"""Every key of a policy template, declared once: type, default and sentence. `load.py` reads and checks them.

Durations are seconds and take "30s", "10m", "90d". Zero and empty lists mean: nothing is asked.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from countermark.core.audit import Detail
from countermark.settings.model import Duration, Timeout

Element = Literal[
    "user", "client", "session", "jti", "context", "preset", "transform_hash", "geo", "address", "once", "not_before",
    "issued",
]  # fmt: skip
"""A fact that a signature can cover."""

Weakness = Literal["md5", "sha1", "truncated", "case-folded", "method-unsigned", "host-unsigned", "query-unsigned"]
"""A weakness that a signature format has, as `Claims.confidence` names it."""

Risk = Literal["replay", "tampering", "geo", "key-leak"]
Operation = Literal[
    "original", "crop", "enlarge", "fit", "gravity", "dpr", "rotate", "flip", "background", "blur", "sharpen",
    "metadata", "animated",
]  # fmt: skip
"""An operation that can be forbidden; `original` is the picture as it is, without any."""

Cadence = Literal["continuous", "real-time", "daily", "weekly", "monthly"]
Counted = Literal["client", "session", "address", "template"]
Country = Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"})]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class ExpiryRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a URL lives. Both may be given; then whichever comes first ends it."""

    ttl: Annotated[
        Duration, Meta(description="Longest life of a URL, such as 15m. 0: as long as its key may sign.")
    ] = 0
    session_end: Annotated[
        bool, Meta(description="The URL ends with the session that it names, and must name one.")
    ] = False


class TransformRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be made of a picture. The bounds hold for whatever a preset asks, too."""

    presets: Annotated[
        tuple[str, ...], Meta(description="The presets that may be named, and one must be. Empty: any.")
    ] = ()
    max_width: Annotated[
        Count, Meta(description="Pixels of the result (width times dpr); the URL must then say a width. 0: no bound.")
    ] = 0
    max_height: Annotated[Count, Meta(description="Likewise for the height.")] = 0
    max_dpr: Annotated[float, Meta(ge=1, le=5, description="Largest dpr; no URL can ask for more than 5.")] = 5
    min_quality: Annotated[int, Meta(ge=1, le=100, description="Least quality that may be asked.")] = 1
    max_quality: Annotated[int, Meta(ge=1, le=100, description="Highest quality that may be asked.")] = 100
    formats: Annotated[
        tuple[Literal["source", "auto", "jpeg", "png", "webp", "avif", "gif"], ...],
        Meta(description="Formats that may be asked; source is where none is. Empty: all."),
    ] = ()
    forbid: Annotated[tuple[Operation, ...], Meta(description="Operations that may not be asked.")] = ()


class RateRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ceiling: NAME is client, session, address or template, which is what is counted together."""

    requests: Annotated[int, Meta(ge=1, le=1_000_000_000, description="Requests …")]
    per: Annotated[Timeout, Meta(description="… in this time, evenly.")] = 60.0
    burst: Annotated[Count, Meta(description="Requests that may come at once. 0: as many as `requests`.")] = 0


class GeoRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which countries. Deny wins over allow."""

    allow: Annotated[
        tuple[Country, ...], Meta(description="ISO 3166 codes of countries (DE) or regions (US-CA). Empty: all.")
    ] = ()
    deny: Annotated[tuple[Country, ...], Meta(description="Closed to these, even where `allow` has them.")] = ()
    unknown: Annotated[
        Literal["deny", "allow"],
        Meta(description="What holds where the country, or a region that matters, is not known."),
    ] = "deny"


class NetworkRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which addresses. Deny wins over allow."""

    allow: Annotated[
        tuple[str, ...],
        Meta(description="Networks (10.0.0.0/8), addresses, or files beside the template (offices.txt). Empty: all."),
    ] = ()
    deny: Annotated[tuple[str, ...], Meta(description="Closed to these, even where `allow` has them.")] = ()
    bind: Annotated[
        Literal["none", "exact", "prefix"],
        Meta(
            description="The URL must be signed for its client's address: for that one alone, or for a small network."
        ),
    ] = "none"
    bind_ipv4: Annotated[
        int, Meta(ge=8, le=32, description="Prefix length that such an IPv4 network has at least.")
    ] = 24
    bind_ipv6: Annotated[
        int, Meta(ge=16, le=128, description="Prefix length that such an IPv6 network has at least.")
    ] = 64


class ResponseRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What answers tell auditors, so that they can hold templates and logs side by side."""

    headers: Annotated[
        tuple[Literal["template", "grant", "expires", "client"], ...],
        Meta(
            description="template: Countermark-Template: NAME@VERSION; grant: Countermark-Grant, as in the log; "
            "expires: Countermark-Expires, unix seconds; client: Countermark-Client."
        ),
    ] = ()


class AuditRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the log's line of a request has, and how often people look at it."""

    detail: Annotated[
        Detail,
        Meta(
            description="brief: no client address, path, grant or other trace of a person; full: also user, client, "
            "session, jti, context, preset and country."
        ),
    ] = "standard"
    cadence: Annotated[
        Cadence,
        Meta(description="How often people review it; the gateway tells it and leaves it to them."),
    ] = "weekly"


class RegionRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a region's law asks; NAME is yours, such as eu. It may tighten the template and never loosen it."""

    countries: Annotated[tuple[Country, ...], Meta(min_length=1, description="Whose law it is.")]
    note: Annotated[str, Meta(description="What the law asks and how this template answers it, for people.")]
    retention: Annotated[
        Duration, Meta(description="Shorter than the template's, for requests from there. 0: the template's.")
    ] = 0
    closed: Annotated[bool, Meta(description="Nothing is shown to these countries.")] = False


class Situation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request, in the words of a template: what its URL was signed with, and the moment at which it comes."""

    signs: Annotated[
        tuple[Element, ...],
        Meta(description="Facts that are signed, with some value; those below are signed when they are given."),
    ] = ()
    preset: Annotated[str, Meta(description="A preset's name.")] = ""
    context: Annotated[str, Meta(description="What the URL was made for.")] = ""
    geo: Annotated[tuple[Country, ...], Meta(description="Countries that it is signed for.")] = ()
    address: Annotated[str, Meta(description="Address or network that it is signed for.")] = ""
    operations: Annotated[str, Meta(description="As a native query: w=800&fm=webp.")] = ""
    weak: Annotated[tuple[Weakness, ...], Meta(description="Weaknesses of its signature's format.")] = ()
    life: Annotated[
        Annotated[float, Meta(ge=1, le=3650 * 86_400, extra={"unit": "duration"})] | Literal["never"],
        Meta(description="From its issue to its end; never: it has none."),
    ] = 60.0
    age: Annotated[Duration, Meta(description="How long ago it was issued.")] = 0
    client_address: Annotated[str, Meta(description="Where the request comes from.")] = field(
        default="203.0.113.7", name="from"
    )
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$", description="The client's country. Empty: not known.")] = ""
    region: Annotated[str, Meta(pattern="^[A-Z0-9]{0,3}$", description="The client's region, CA of US-CA.")] = ""
    session: Annotated[Literal["live", "ended"], Meta(description="The state of the session that it names.")] = "live"
    use: Annotated[int, Meta(ge=1, le=1000, description="The how-manyth use of a single-use URL.")] = 1
    nth: Annotated[int, Meta(ge=1, le=10**9, description="The how-manyth request at once.")] = 1
    every: Annotated[
        Duration, Meta(description="Such requests have come at this interval for long. 0: none has come before.")
    ] = 0
    same: Annotated[
        tuple[Counted, ...], Meta(description="What all those requests have in common; the template always.")
    ] = ("client", "session", "address")


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request and its answer: `permit` or `deny` says in words what it shows."""

    permit: Annotated[str, Meta(description="What is allowed.")] = ""
    deny: Annotated[str, Meta(description="What is refused.")] = ""
    reason: Annotated[str, Meta(description="With deny: the refusal's reason, such as element_missing.")] = ""
    request: Annotated[Situation, Meta(description="The request.")] = Situation()


class TemplateFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    template: Annotated[
        str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$", description="Its name: the file's, without .yaml.")
    ]
    version: Annotated[int, Meta(ge=1, le=10**6, description="Counts up with every change of what it decides.")] = 1
    endpoint: Annotated[
        Literal["render", "upload", "delete"], Meta(description="What it is for. A site shows pictures: render.")
    ] = "render"
    description: Annotated[str, Meta(description="What it is for, in a sentence.")] = ""
    owner: Annotated[str, Meta(description="Who answers for it.")] = ""
    risks: Annotated[
        tuple[Risk, ...], Meta(description="Which rows of the risk table it answers; the lint holds it to them.")
    ] = ()
    require: Annotated[tuple[Element, ...], Meta(description="Facts that the signature must cover.")] = ()
    contexts: Annotated[
        tuple[str, ...], Meta(description="What a URL may be made for (`context`), and it must say. Empty: anything.")
    ] = ()
    refuse_weak: Annotated[tuple[Weakness, ...], Meta(description="Weaknesses that its signature may not have.")] = ()
    expires: Annotated[ExpiryRules, Meta(description="Life.")] = ExpiryRules()
    uses: Annotated[Literal["many", "once"], Meta(description="once: single-use URLs only.")] = "many"
    transforms: Annotated[TransformRules, Meta(description="Operations.")] = TransformRules()
    ceiling: Annotated[dict[Counted, RateRules], Meta(description="Ceilings.")] = field(default_factory=dict)
    geo: Annotated[GeoRules, Meta(description="Countries.")] = GeoRules()
    network: Annotated[NetworkRules, Meta(description="Networks.")] = NetworkRules()
    respond: Annotated[ResponseRules, Meta(description="Headers.")] = ResponseRules()
    audit: Annotated[AuditRules, Meta(description="Audit.")] = AuditRules()
    retention: Annotated[
        Duration, Meta(description="How long the log's lines may be kept; each says it in seconds. 0: not said.")
    ] = 0
    regions: Annotated[dict[str, RegionRules], Meta(description="Regional law.")] = field(default_factory=dict)
    examples: Annotated[tuple[Example, ...], Meta(description="Examples.")] = ()
    accept: Annotated[
        dict[str, str], Meta(description="Lint rules that are right and do not apply, each with the reason: P006: why.")
    ] = field(default_factory=dict)
