"""What happened: one event a request, one notice for what changed or looks like an attack. Metrics, audit and log are
made of these and of nothing else."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from countermark.core.audit import UNRULED, Audit
from countermark.core.place import NOWHERE, Place

Severity = Literal["info", "warning", "critical"]


class RequestEvent(Struct, kw_only=True):
    """Filled in while a request passes the stages, told once when its answer has left (or its client has).

    `path` is for the log only, never a label, and never holds a query. Times are seconds. `stages` maps a stage
    (verify, plan, lookup, fetch, queue, render, send) to its duration. `cache` is hit, disk, revalidated, collapsed,
    miss, bypass or "" where it was not asked. `audit` says how much of all that may be written down.
    """

    id: str
    method: str = ""
    host: str = ""
    path: str = ""
    client: str = ""
    received: float = 0.0
    site: str = ""
    dialect: str = ""
    key_id: str = ""
    grant: str = ""
    place: Place = NOWHERE
    audit: Audit = UNRULED
    status: int = 0
    reason: str = ""
    detail: str = ""
    cache: str = ""
    origin: str = ""
    format: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    duration: float = 0.0
    aborted: bool = False
    stages: dict[str, float] = field(default_factory=dict)


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that people or a SIEM should know: a change of who may see what, or a sign of an attack.

    kind      dotted and stable, such as revocation.added, session.ended, key.rotated, grant.reused
    actor     who did it: an admin token's name, "gateway" for what it did by itself, "command" for the command line
    subject   what it was done to, such as session:8f2c or key:k1; never material, a signature or a URL's query
    facts     further words for machines, bounded and free of secrets
    request   id of the request that caused it, "" where none did
    """

    id: str
    at: float
    kind: str
    severity: Severity = "info"
    actor: str = "gateway"
    subject: str = ""
    detail: str = ""
    facts: dict[str, str] = {}
    request: str = ""
