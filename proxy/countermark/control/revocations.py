"""Taking back, giving again, and looking at what was taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from countermark.control.actor import Actor
from countermark.control.evidence import Evidence, Witness
from countermark.control.fronts import Fronts
from countermark.control.purging import purges, purges_of
from countermark.control.records import Records
from countermark.core.errors import CountermarkError, OrderInvalid, OrderTooLarge
from countermark.core.events import Severity
from countermark.core.target import parse_target
from countermark.identity.exchange import LONGEST_LINE, fault_of, line_of, read_line
from countermark.identity.revocation import Kind, Revocation
from countermark.ports import RevocationLog
from countermark.signing.realm import waivers
from countermark.signing.verify import AHEAD

PAGE = 1_000
MAX_PAGE = 10_000
_BATCH = 1_000

_MAX_SEVERE = 20

Value = Annotated[str, Meta(max_length=2048, description="What is taken back, as its kind is written.")]
Reason = Annotated[str, Meta(max_length=500, description="Why, for people.")]
Moment = Annotated[int, Meta(ge=0, le=2**32 - 2, description="Unix seconds.")]


class RevocationOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What shall be taken back: a signed URL (`url`), or a `kind` with its `value`."""

    url: Annotated[
        str, Meta(max_length=16_384, description="A signed URL. Its grant is revoked, once it proves to be authentic.")
    ] = ""
    site: Annotated[str, Meta(description="The URL's site, where its host and path do not say.")] = ""
    kind: Annotated[
        Kind | None, Meta(description="What `value` names. path: SITE:PREFIX, a raw path, and all beneath it.")
    ] = None
    value: Value = ""
    issued_before: Annotated[
        Moment | None, Meta(description="Only what was issued before this moment, in unix seconds. null: all of it.")
    ] = None
    expires: Annotated[
        Moment | None,
        Meta(
            description="Unix seconds after which the revocation may be forgotten. null: never; for a URL, when it has expired."
        ),
    ] = None
    reason: Reason = ""
    severity: Annotated[Literal["warning", "critical"], Meta(description="critical: on-call is told, too.")] = "warning"


class LiftOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall count again: everything that was revoked under this kind and value."""

    kind: Kind
    value: Value
    reason: Reason = ""


class RevocationAdded(Struct, frozen=True, kw_only=True):
    """The entry as it stands on the list now, and the CDNs that were told to forget what it means."""

    revocation: Revocation
    purging: tuple[str, ...] = ()


class Listed(Struct, frozen=True, kw_only=True):
    """Entries in the order of the list. `more`: there may be others behind `cursor`; they are asked for with `after`."""

    revocations: tuple[Revocation, ...]
    cursor: str
    more: bool


class Imported(Struct, frozen=True, kw_only=True):
    """How many entries were added."""

    revocations: int


class Revocations:
    """The use cases, for a token with the role operator."""

    def __init__(self, *, log: RevocationLog, records: Records, witness: Witness, fronts: Fronts) -> None:
        self._log = log
        self._records = records
        self._witness = witness
        self._fronts = fronts

    async def add(self, order: RevocationOrder, actor: Actor) -> RevocationAdded:
        """Take back. Raises OrderInvalid, RoleMissing, StoreUnavailable."""
        now = self._records.clock()
        evidence = None
        if order.url:
            if order.kind is not None or order.value:
                raise OrderInvalid("Give either a url, or a kind with its value.")
            evidence = await self._witness.prove(order.url, site=order.site, now=now)
            actor.require(evidence.front.name)
        revocation = self._revocation(order, evidence, actor, now)
        if evidence is None:
            self._require(actor, revocation)
        return await self.enter(revocation, actor, evidence=evidence)

    async def lift(self, order: LiftOrder, actor: Actor) -> RevocationAdded:
        """Let it count again. Raises OrderInvalid, RoleMissing, StoreUnavailable."""
        revocation = Revocation(
            kind=order.kind,
            value=order.value,
            lifted=True,
            created=self._records.clock(),
            reason=order.reason,
            author=actor.name,
        )
        self._check(revocation)
        self._require(actor, revocation)
        return await self.enter(revocation, actor)

    async def enter(
        self,
        revocation: Revocation,
        actor: Actor,
        *,
        evidence: Evidence | None = None,
        severity: Severity | None = None,
    ) -> RevocationAdded:
        """Put one on the list and tell it, with the entry's own severity where no other is given.

        Raises StoreUnavailable; when only the follow-up failed, the entry is in force.
        """
        await self._log.append((revocation,))
        subject = f"{revocation.kind}:{revocation.value}"
        notice = self._records.note(
            "revocation.lifted" if revocation.lifted else "revocation.added",
            actor=actor.name,
            subject=subject[:200],
            severity=severity or revocation.severity,
            detail=revocation.reason,
            facts=_facts(revocation),
        )
        cause = f"revocation {subject[:200]}"
        found = purges((revocation,), self._fronts, cause=cause)
        if evidence is not None:
            found = purges_of(evidence, cause=cause)
        await self._records.follow_up(notice, found)
        return RevocationAdded(revocation=revocation, purging=tuple(purge.cdn for purge in found))

    async def page(
        self, actor: Actor, *, after: str = "", limit: int = PAGE, kind: Kind | None = None, value: str = ""
    ) -> Listed:
        """One stretch of the list, of which those are shown that are asked for. Raises RoleMissing, StoreUnavailable."""
        actor.require_all()
        page = await self._log.read(after, limit)
        shown = tuple(
            revocation
            for revocation in page.revocations
            if kind in (None, revocation.kind) and value in ("", revocation.value)
        )
        return Listed(revocations=shown, cursor=page.cursor, more=bool(page.revocations))

    async def export(self, actor: Actor) -> AsyncIterator[bytes]:
        """The whole list, one JSON object a line, as `take_in` reads it. Raises RoleMissing, StoreUnavailable."""
        actor.require_all()
        after = ""
        while (page := await self._log.read(after, MAX_PAGE)).revocations:
            yield b"".join(map(line_of, page.revocations))
            after = page.cursor

    async def take_in(self, chunks: AsyncIterator[bytes], actor: Actor) -> Imported:
        """Add what `export` wrote, in its order. Raises OrderInvalid with the line, RoleMissing, StoreUnavailable.

        Entries before a faulty line stay: to import the whole file again once it is right does no harm.
        """
        actor.require_all()
        taken, batch = 0, list[Revocation]()
        async for number, line in _lines(chunks):
            batch.append(self._read_line(line, number, taken, actor))
            if len(batch) == _BATCH:
                await self._take(batch, actor)
                taken += len(batch)
                batch = []
        if batch:
            await self._take(batch, actor)
            taken += len(batch)
        return Imported(revocations=taken)

    async def _take(self, batch: Sequence[Revocation], actor: Actor) -> None:
        await self._log.append(batch)
        severe = [revocation for revocation in batch if revocation.severity == "critical"]
        notice = self._records.note(
            "revocation.imported",
            actor=actor.name,
            subject="revocations",
            severity="critical" if severe else "warning",
            detail=", ".join(f"{revocation.kind}:{revocation.value}"[:100] for revocation in severe[:_MAX_SEVERE]),
            facts={"count": str(len(batch))},
        )
        await self._records.follow_up(notice, purges(batch, self._fronts, cause="revocations imported"))

    def _read_line(self, line: bytes, number: int, taken: int, actor: Actor) -> Revocation:
        before = f"the first {taken} entries were added" if taken else "none was added"
        try:
            return read_line(line, now=self._records.clock(), author=actor.name)
        except ValueError as error:
            raise OrderInvalid(f"Line {number} is no revocation: {error} ({before}).") from None

    def _revocation(self, order: RevocationOrder, evidence: Evidence | None, actor: Actor, now: float) -> Revocation:
        kind, value, expires = order.kind, order.value, order.expires
        if evidence is not None:
            claims = evidence.claims
            kind, value = "grant", claims.id.hex()
            # Once the URL has expired by everybody's clock, the entry refuses nothing that is not refused anyway.
            if expires is None and claims.expires is not None:
                expires = max(claims.expires, int(now)) + AHEAD
        if kind is None:
            raise OrderInvalid("Give a url, or a kind with its value.")
        revocation = Revocation(
            kind=kind,
            value=value,
            issued_before=order.issued_before,
            created=now,
            expires=expires,
            reason=order.reason,
            author=actor.name,
            severity=order.severity,
        )
        if expires is not None and expires <= now:
            raise OrderInvalid("`expires` lies in the past; such a revocation would be forgotten at once.")
        self._check(revocation)
        return revocation

    def _check(self, revocation: Revocation) -> None:
        """Raises OrderInvalid where no grant could ever have such a name, so that nobody takes a slip for a revocation."""
        if wrong := fault_of(revocation):
            raise OrderInvalid(f"{wrong[0].upper()}{wrong[1:]}.")
        # What is on the list must come back by an import, too.
        if len(line_of(revocation)) > LONGEST_LINE:
            raise OrderInvalid(f"Value and reason have more than {LONGEST_LINE} octets together.")
        if revocation.kind == "path":
            self._check_path(revocation.value)

    def _check_path(self, value: str) -> None:
        site, _, prefix = value.partition(":")
        front = self._fronts.named(site)
        if not prefix.startswith(front.realm.prefix):
            raise OrderInvalid(f"The paths of site {site} start with {front.realm.prefix}.")
        try:
            target = parse_target(prefix.rstrip("/") or "/", waive=waivers(front.realm))
        except CountermarkError as error:
            raise OrderInvalid(f"The prefix is no raw path: {error.detail}") from None
        if target.query is not None:
            raise OrderInvalid("A path has no query; to revoke one signed URL, give it as url.")

    def _require(self, actor: Actor, revocation: Revocation) -> None:
        if revocation.kind == "path":
            actor.require(revocation.value.partition(":")[0])
        else:
            actor.require_all()


def _facts(revocation: Revocation) -> dict[str, str]:
    moments = {"issued_before": revocation.issued_before, "expires": revocation.expires}
    return {name: str(moment) for name, moment in moments.items() if moment is not None}


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """Lines with their numbers, blank ones left out. Raises OrderTooLarge before a line without an end fills the memory."""
    rest, number = b"", 0
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if len(line) > LONGEST_LINE:
                raise OrderTooLarge(f"Line {number} has more than {LONGEST_LINE} bytes.")
            if line.strip():
                yield number, line
        if len(rest) > LONGEST_LINE:
            raise OrderTooLarge(f"Line {number + 1} has more than {LONGEST_LINE} bytes.")
    if rest.strip():
        yield number + 1, rest
