"""The sentry: it watches refusals, blocks addresses that collect too many, and takes back what was seen in wrong hands."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from countermark.core.errors import (
    AddressBlocked,
    AddressMismatch,
    ClientIpNotAllowed,
    CountermarkError,
    CountryMismatch,
    CountryNotAllowed,
    Expired,
    Malformed,
    Refused,
    Revoked,
    SessionEnded,
    SignatureMissing,
    StoreUnavailable,
    Used,
)
from countermark.core.events import Notice, Severity
from countermark.core.request import EdgeRequest
from countermark.core.tasks import Purge, Task, notify_task, purge_task
from countermark.delivery.authorize import authorize
from countermark.delivery.holder import Holder
from countermark.identity.revocation import Revocation
from countermark.identity.surrogate import tag
from countermark.ports import Outbox, RevocationLog, Strikes, Telemetry
from countermark.traffic.gcra import whole_seconds

# What an honest browser does by itself, such as a tab that was left open over night, blocks nobody.
_COUNTED = (Malformed, SignatureMissing, Refused, Revoked, Used)
_NOT_COUNTED = (Expired, SessionEnded)

# An authentic URL that comes from where, or as often as, its holder would not bring it.
_SUSPICIOUS = (AddressMismatch, CountryMismatch, CountryNotAllowed, ClientIpNotAllowed, Used)

_ROW_SECONDS = 3600.0
_REMEMBERED = 65_536


class Watch(Struct, frozen=True, kw_only=True):
    """What the sentry bears.

    refusals, refusals_window   refusals of one address within so many seconds that block it; 0 blocks nobody
    block_seconds               for how long
    failures                    refusals in a row after which an authentic URL is taken back; 0 takes back none
    critical                    reasons for which it is taken back at once, and on-call told
    """

    refusals: int = 300
    refusals_window: float = 60.0
    block_seconds: float = 60.0
    failures: int = 3
    critical: frozenset[str] = frozenset({CountryMismatch.reason})


class Sentry:
    """`nonce` makes ids of notices."""

    def __init__(
        self,
        *,
        watch: Watch,
        strikes: Strikes,
        revocations: RevocationLog,
        outbox: Outbox,
        telemetry: Telemetry,
        nonce: Callable[[], str],
    ) -> None:
        self._watch = watch
        self._strikes = strikes
        self._revocations = revocations
        self._outbox = outbox
        self._telemetry = telemetry
        self._nonce = nonce
        self._struck: set[str] = set()

    def admit(self, client: str) -> None:
        """Raises AddressBlocked, before anything that such a request could make expensive."""
        seconds = self._strikes.blocked(client)
        if seconds:
            raise AddressBlocked(
                "Too many requests of this address were refused. Try again later.", retry_after=whole_seconds(seconds)
            )

    def passed(self, holder: Holder) -> None:
        """A request went well: the row of failures is broken."""
        if self._struck and (grant := holder.claims.id.hex()) in self._struck:
            self._struck.discard(grant)
            self._strikes.pardon(f"grant:{grant}")

    def refused(self, error: CountermarkError, request: EdgeRequest) -> None:
        """Count a refusal for its address."""
        watch = self._watch
        if not watch.refusals or isinstance(error, _NOT_COUNTED) or not isinstance(error, _COUNTED):
            return
        count = self._strikes.strike(f"refused:{request.client}", watch.refusals_window / watch.refusals)
        if count < watch.refusals:
            return
        self._strikes.pardon(f"refused:{request.client}")
        self._strikes.block(str(request.client), watch.block_seconds)
        self._note(
            "address.blocked", request, severity="warning", subject=f"address:{request.client}", reason=error.reason
        )

    async def misused(self, error: CountermarkError, holder: Holder, request: EdgeRequest) -> None:
        """Count a refusal against an authentic URL, and take it back where it is time.

        The revocation is on the list before the refusal is answered.
        """
        if not isinstance(error, _SUSPICIOUS):
            return
        grant = holder.claims.id.hex()
        if len(self._struck) < _REMEMBERED:
            self._struck.add(grant)
        count = self._strikes.strike(f"grant:{grant}", _ROW_SECONDS)
        critical = error.reason in self._watch.critical
        if critical or (self._watch.failures and count >= self._watch.failures):
            await self._take_back(error, holder, request, "critical" if critical else "warning")
        else:
            self._note("grant.refused", request, severity="warning", subject=f"grant:{grant}", reason=error.reason)

    async def _take_back(
        self, error: CountermarkError, holder: Holder, request: EdgeRequest, severity: Severity
    ) -> None:
        claims = holder.claims
        revocation = Revocation(
            kind="grant",
            value=claims.id.hex(),
            created=request.received,
            expires=claims.expires,
            reason=error.reason,
            author="gateway",
            severity="critical" if severity == "critical" else "warning",
        )
        try:
            await self._revocations.append((revocation,))
            notice = self._note(
                "revocation.added",
                request,
                severity=severity,
                subject=f"grant:{revocation.value}",
                reason=error.reason,
                country=request.country,
                client_id=claims.client_id,
            )
            await self._outbox.put(self._tasks(notice, holder, request))
        except StoreUnavailable as away:
            # It stays refused for what is wrong with it, and the next failure tries again.
            self._note(
                "revocation.failed",
                request,
                severity="critical",
                subject=f"grant:{revocation.value}",
                reason=away.reason,
            )

    def _tasks(self, notice: Notice, holder: Holder, request: EdgeRequest) -> list[Task]:
        site = holder.site
        # Answers are kept by picture, not by grant: the CDN forgets the picture, and asks for the next holder again.
        urls = (f"{site.realm.base_url}{holder.claims.path}",) if site.realm.base_url else ()
        tags = (tag("object", f"{site.name}:{authorize(site, holder.claims).object_key}"),)
        tasks = [
            purge_task(
                Purge(cdn=cdn, tags=tags, urls=urls, cause=notice.subject), cause_id=notice.id, now=request.received
            )
            for cdn in site.cdns
        ]
        if notice.severity == "critical":
            tasks.append(notify_task(notice, now=request.received))
        return tasks

    def _note(self, kind: str, request: EdgeRequest, *, severity: Severity, subject: str, **facts: str) -> Notice:
        notice = Notice(
            id=self._nonce(),
            at=request.received,
            kind=kind,
            severity=severity,
            subject=subject,
            facts={"client": str(request.client), **{name: fact for name, fact in facts.items() if fact}},
            request=request.id,
        )
        self._telemetry.note(notice)
        return notice
