"""The one event of a request. Metrics, audit and log are made of it and of nothing else."""

from __future__ import annotations

from msgspec import Struct, field


class RequestEvent(Struct, kw_only=True):
    """Filled in while a request passes the stages, told once when its answer has left (or its client has).

    `path` is for the log only, never a label, and never holds a query. Times are seconds. `stages` maps a stage
    (verify, plan, lookup, fetch, queue, render, send) to its duration. `cache` is hit, disk, revalidated, collapsed,
    miss, bypass or "" where it was not asked.
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
