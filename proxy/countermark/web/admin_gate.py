"""Who may use the admin API: bearer tokens, of which the gateway knows the hashes only."""

from __future__ import annotations

import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

from countermark.core.encoding import base64url
from countermark.core.errors import RateLimited, RoleMissing, TokenInvalid
from countermark.core.events import Severity
from countermark.settings.tokens import AdminToken, Role
from countermark.traffic.gcra import Limit, advance, whole_seconds

PREFIX = "cmadm_"

_BEARER = re.compile(rf"Bearer ({PREFIX}[A-Za-z0-9_-]{{43}})", re.IGNORECASE)
_REMEMBERED = 4096
_FAILURES = Limit(name="admin", key="", interval=6.0, burst=10)


class Note(Protocol):
    """Tells a notice."""

    def __call__(
        self, kind: str, *, actor: str, subject: str, severity: Severity = "info", detail: str = ""
    ) -> None: ...


def new_token() -> str:
    """256 random bits behind a prefix by which scanners of source code find tokens that were committed."""
    return PREFIX + base64url(secrets.token_bytes(32))


def hash_of(token: str) -> str:
    """What the file of tokens holds. The token is random, so a plain hash is as good as a slow one."""
    return sha256(token.encode()).hexdigest()


class Gatekeeper:
    """Lets tokens in, and counts failures by peer address.

    A right token is let in whatever its address has tried before: 256 bits are not guessed, and an operator must not be
    locked out by what else runs on his machine. The count keeps failures from flooding the log.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, float] = OrderedDict()

    def admit(
        self, authorization: str, *, peer: str, tokens: Sequence[AdminToken], roles: Sequence[Role], note: Note
    ) -> AdminToken:
        """The token of a request that may have it. Raises TokenInvalid, RoleMissing or RateLimited."""
        token = _find(authorization, tokens, self._clock())
        if token is None:
            self._count(peer, note, actor="unknown", detail="no valid admin token")
            raise TokenInvalid(
                "The admin API takes a token: Authorization: Bearer cmadm_… This one, or its lack, is refused."
            )
        if "admin" not in token.roles and not set(roles) & set(token.roles):
            self._count(peer, note, actor=token.name, detail=f"has the roles {', '.join(token.roles)}")
            raise RoleMissing(f"This takes a token with one of the roles {', '.join((*roles, 'admin'))}.")
        return token

    def _count(self, peer: str, note: Note, *, actor: str, detail: str) -> None:
        """Tell a failure. Raises RateLimited instead where one address fails too often."""
        tat, verdict = advance(self._failures.get(peer, 0.0), self._clock(), _FAILURES)
        self._failures[peer] = tat
        self._failures.move_to_end(peer)
        if len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        if not verdict.allowed:
            raise RateLimited(
                "Too many requests of this address had no valid admin token.",
                retry_after=whole_seconds(verdict.retry_after),
                limit="admin",
            )
        note("admin.refused", actor=actor, subject=f"address:{peer}", severity="warning", detail=detail)


def _find(authorization: str, tokens: Sequence[AdminToken], now: float) -> AdminToken | None:
    match = _BEARER.fullmatch(authorization)
    if match is None:
        return None
    presented = hash_of(match[1])
    found = None
    # Never stops at a match, and compares in constant time: the time taken tells nothing of any token.
    for token in tokens:
        if hmac.compare_digest(token.sha256, presented):
            found = token
    return None if found is None or (found.expires is not None and now > found.expires) else found
