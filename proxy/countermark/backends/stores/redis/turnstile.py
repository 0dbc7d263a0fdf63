"""Rates and single uses on the server, in one round trip; rates of this machine alone while the server is away."""

from __future__ import annotations

import structlog

from countermark.backends.stores.cells import Cells
from countermark.backends.stores.limited import limited
from countermark.backends.stores.redis.link import Argument, Link, unavailable
from countermark.backends.stores.redis.links import RATES, Links, digest, key, uses_room
from countermark.backends.stores.redis.scripts import ENTER, RELEASE
from countermark.core.errors import StoreUnavailable, Used
from countermark.ports import Entry, Ticket
from countermark.traffic.gcra import Limit, Verdict, advance

GRACE = 3600
"""Seconds for which a use is kept beyond its ticket's end, for clocks that differ."""
SKEW = 10
"""Seconds by which the clocks of signers and servers may differ."""

_LONG_AGO = -1e18
_OUTCOMES = (b"ok", b"limited", b"used", b"young")

log = structlog.get_logger("countermark.turnstile")


class RedisTurnstile:
    """Limits fall back to cells, tickets are refused: a request too many is bearable, a second use is not."""

    def __init__(self, links: Links, cells: Cells) -> None:
        self._links = links
        self._rates = links.of(RATES)
        self._cells = cells

    def at_once(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...] | None:
        # Where it is known that the server is away nobody waits for it.
        return self._cells.take(limits, now) if not limits or self._rates.broken else None

    async def enter(self, limits: tuple[Limit, ...], ticket: Ticket | None, now: float) -> Entry:
        if ticket is None:
            return Entry(verdicts=await self._count(limits, now))
        named = digest(ticket.id)
        link = self._links.of(uses_room(named))
        if limits and link is not self._rates:
            # On two nodes of a Cluster nothing is done in one step: rates first, as what they refuse takes no use.
            verdicts = await self._count(limits, now)
            await _ask(link, (), ticket, named)
        else:
            verdicts = await _ask(link, limits, ticket, named)
        return Entry(verdicts=verdicts, use=RedisUse(link, key(uses_room(named), f"use:{named}"), ticket.attempt))

    async def _count(self, limits: tuple[Limit, ...], now: float) -> tuple[Verdict, ...]:
        if not limits:
            return ()
        try:
            return await _ask(self._rates, limits, None, "")
        except StoreUnavailable:
            return self._cells.take(limits, now)


async def _ask(link: Link, limits: tuple[Limit, ...], ticket: Ticket | None, named: str) -> tuple[Verdict, ...]:
    """One round trip. Raises RateLimited, Used or StoreUnavailable."""
    keys = [key(RATES, f"rate:{digest(limit.key)}") for limit in limits]
    arguments: list[Argument] = [len(limits)]
    for limit in limits:
        arguments += (repr(limit.interval), limit.burst)
    if ticket is not None:
        room = uses_room(named)
        keys += (key(room, "epoch"), key(room, f"use:{named}"))
        kept = "" if ticket.expires is None else ticket.expires + GRACE
        arguments += (ticket.attempt, repr(max(ticket.issued, _LONG_AGO)), kept, SKEW)
    outcome, filled = _understood(await link.run(ENTER, keys, arguments, durable=ticket is not None), len(limits), link)
    verdicts = tuple(advance(start, 0.0, limit)[1] for start, limit in zip(filled, limits, strict=True))
    if outcome == b"limited":
        raise limited(verdicts)
    if outcome == b"used":
        raise Used("The URL opens once, and it has been used.")
    if outcome == b"young":
        raise StoreUnavailable(
            "The gateway cannot tell whether this URL was used: it was issued before the gateway's memory begins.",
            private="issued before the server's present life",
        )
    return verdicts


def _understood(answer: object, count: int, link: Link) -> tuple[object, list[float]]:
    """The outcome and how far each bucket was filled. Only what is exactly an answer of ours may open anything."""
    try:
        if not isinstance(answer, list) or len(answer) != count + 1 or answer[0] not in _OUTCOMES:
            raise ValueError("no outcome")
        return answer[0], [float(value) for value in answer[1:]]
    except (TypeError, ValueError) as error:
        link.fail(error)
        raise unavailable(f"an answer that makes no sense: {answer!r}"[:200]) from None


class RedisUse:
    """A use that was taken."""

    def __init__(self, link: Link, name: str, attempt: str) -> None:
        self._link = link
        self._name = name
        self._attempt = attempt

    async def release(self) -> None:
        """Forget the use; where that fails it stays taken."""
        try:
            await self._link.run(RELEASE, [self._name], [self._attempt])
        except StoreUnavailable as error:
            log.warning("use not given back", reason=error.private)
