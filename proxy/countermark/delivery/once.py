"""Single use: a credential that opens once is claimed before anything is fetched and given back if nothing came of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import suppress

from msgspec.structs import replace

from countermark.core.answer import Answer
from countermark.core.errors import CountermarkError, SingleUseRefused
from countermark.core.request import EdgeRequest
from countermark.delivery.holder import Holder
from countermark.ports import Entry, Ticket, Turnstile, Use
from countermark.traffic.gcra import Limit

# Messengers and networks that fetch what a message links to, by what their documentation says they call themselves.
_PREVIEWERS = (
    "facebookexternalhit", "twitterbot", "slackbot", "slack-imgproxy", "discordbot", "telegrambot", "whatsapp",
    "linkedinbot", "skypeuripreview", "microsoftpreview", "googlemessages", "redditbot", "embedly", "iframely",
)  # fmt: skip
_CHUNK = 256 * 1024

# Tasks that nobody waits for; the loop itself would let them be collected.
_giving_back: set[asyncio.Future[None]] = set()


def ticket(holder: Holder, request: EdgeRequest, attempt: str) -> Ticket | None:
    """The ticket of a holder whose URL, or whose key, opens one time only; None for others, and for HEAD, which costs
    nothing. A single-use key is spent by whichever of its URLs comes first.

    `attempt` is new for each request and no client's to choose: the same attempt twice is let in twice. Raises
    SingleUseRefused where nobody looks at what would be shown.
    """
    claims, key = holder.claims, holder.proof.key
    if not claims.once or request.method != "GET":
        return None
    # A browser that guesses where its user goes next, and a messenger that draws a card for a link, would spend the one
    # use before anybody has seen it.
    if _is_preview(request):
        raise SingleUseRefused("A single-use URL is not opened for a preview or by a prefetch.")
    # No site has an empty name, so no URL names the ticket of a key. It lasts as long as the key: another of its URLs may
    # outlive the one that spent it.
    named = ("", key.dialect, key.id, "") if key.once else (holder.site.name, claims.dialect, key.id, claims.once)
    id = hashlib.sha256("\n".join(named).encode()).hexdigest()
    expires = key.not_after if key.once else claims.expires
    return Ticket(id=id, issued=holder.issued, expires=expires, attempt=attempt)


async def enter(turnstile: Turnstile, limits: tuple[Limit, ...], ticket: Ticket | None, now: float) -> Entry:
    """As `Turnstile.enter`; a client that goes while its use is being taken gets it back."""
    entering = asyncio.ensure_future(turnstile.enter(limits, ticket, now))
    try:
        return await asyncio.shield(entering)
    except asyncio.CancelledError:
        _giving_back.add(giving := asyncio.ensure_future(_give_back(entering)))
        giving.add_done_callback(_giving_back.discard)
        raise


async def _give_back(entering: asyncio.Future[Entry]) -> None:
    with suppress(CountermarkError):
        if (use := (await entering).use) is not None:
            await use.release()


def _is_preview(request: EdgeRequest) -> bool:
    purpose = " ".join(request.headers.get(name, "") for name in ("sec-purpose", "purpose", "x-purpose", "x-moz"))
    if any(word in purpose.lower() for word in ("prefetch", "prerender", "preview")):
        return True
    agent = request.headers.get("user-agent", "").lower()
    return any(name in agent for name in _PREVIEWERS)


def whole(request: EdgeRequest) -> EdgeRequest:
    """The request without its Range: a range that is the whole picture would be a use that counts as none."""
    return replace(request, headers={name: value for name, value in request.headers.items() if name != "range"})


async def until_sent(answer: Answer, use: Use) -> Answer:
    """The answer, which gives the use back unless it is a 200 that is sent to its end."""
    if answer.status != 200:
        await use.release()
        return answer
    stream = _released(answer, use)
    # Begun, so that closing it runs its end even when nothing of it was sent.
    await anext(stream)
    length = len(answer.body) if answer.stream is None else answer.length
    return replace(answer, body=b"", stream=stream, length=length)


async def _released(answer: Answer, use: Use) -> AsyncGenerator[bytes, None]:
    sent = False
    try:
        yield b""
        if answer.stream is None:
            for start in range(0, len(answer.body), _CHUNK):
                yield answer.body[start : start + _CHUNK]
        else:
            async for chunk in answer.stream:
                yield chunk
        sent = True
    finally:
        if answer.stream is not None:
            await answer.stream.aclose()
        if not sent:
            await use.release()
