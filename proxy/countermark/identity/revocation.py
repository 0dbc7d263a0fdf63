"""What was taken back: by one grant, by whom it was given to, by the key that signed it, or by where it leads."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from countermark.core.grant import Claims

Kind = Literal["grant", "jti", "session", "user", "client", "key", "template", "path"]
Severity = Literal["warning", "critical"]


class Revocation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the append-only list.

    kind, value     what is taken back. A grant is the hexadecimal SHA-256 of what was signed (`Claims.id`); a path is
                    SITE:PREFIX, the prefix being a raw path that ends at a segment's end, and covers all beneath it
    issued_before   unix seconds: only what was issued before is taken back; None takes back all of it
    lifted          this entry ends the earlier one of the same kind and value
    created, expires  unix seconds; an entry may be forgotten after `expires`, None keeps it for ever
    reason, author  for people: why, and which admin token (or "gateway")
    severity        warning, or critical for what on-call is told
    """

    kind: Kind
    value: str
    issued_before: int | None = None
    lifted: bool = False
    created: float
    expires: int | None = None
    reason: str = ""
    author: str = ""
    severity: Severity = "warning"


class Handle(Struct, frozen=True):
    """One name by which a grant could have been taken back."""

    kind: Kind
    value: str


def handles(claims: Claims, *, site: str, template: str) -> tuple[Handle, ...]:
    """Every name of an authentic grant, narrowest first. It depends on what was signed alone, so it may be kept."""
    named: list[Handle] = [Handle("grant", claims.id.hex()), Handle("key", claims.key_id)]
    if claims.jti or claims.once:
        named.append(Handle("jti", claims.jti or claims.once))
    if claims.session:
        named.append(Handle("session", claims.session))
    if claims.user:
        named.append(Handle("user", claims.user))
    if claims.client_id:
        named.append(Handle("client", claims.client_id))
    if template:
        named.append(Handle("template", template))
    named += [Handle("path", f"{site}:{prefix}") for prefix in _prefixes(claims.path)]
    return tuple(named)


def issued_at_earliest(claims: Claims, max_life: int) -> float:
    """The earliest moment at which it may have been issued, unix seconds.

    A URL that does not say when it was made was made within its key's longest life before its end; the earliest moment
    of that span is taken, so that "issued before" spares nothing that it means (fail closed).
    """
    if claims.issued is not None:
        return claims.issued
    return float("-inf") if claims.expires is None else claims.expires - max_life


def _prefixes(path: str) -> list[str]:
    """The path itself, then every folder above it, each with its slash: /a/b.jpg, /a/, /."""
    found = [path]
    end = path.rfind("/", 0, len(path) - 1)
    while end >= 0:
        found.append(path[: end + 1])
        end = path.rfind("/", 0, end)
    return found
