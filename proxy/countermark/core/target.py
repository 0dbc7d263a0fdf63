"""The raw request target, parsed once and strictly (RFC 9112 §3.2.1, origin-form only)."""

from __future__ import annotations

from msgspec import Struct


class Pair(Struct, frozen=True):
    """One query pair: the decoded name and value, and `raw`, the text `name=value` exactly as received."""

    name: str
    value: str
    raw: str


class Target(Struct, frozen=True, kw_only=True):
    """`raw` is path and query as received, `path` the still percent-encoded path, `query` None where there is no '?'."""

    raw: str
    path: str
    query: str | None
    pairs: tuple[Pair, ...]


def parse_target(raw: str, *, waive: frozenset[str] = frozenset()) -> Target:
    """Parse a raw target or raise TargetMalformed. `waive` names rules that a dialect cannot keep."""
    raise NotImplementedError
