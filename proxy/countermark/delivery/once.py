"""Single use: a credential that opens once is claimed before anything is fetched and given back if nothing came of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from countermark.core.answer import Answer
from countermark.core.errors import Used
from countermark.core.grant import Grant
from countermark.core.request import EdgeRequest
from countermark.ports import Use, Uses

_FOR_EVER = 2**62
_CHUNK = 256 * 1024


async def claim(uses: Uses, grant: Grant) -> Use:
    """Take the one use of a grant. Raises Used, or StoreUnavailable where nobody can say."""
    claims = grant.claims
    named = "\n".join((grant.site, claims.dialect, claims.key_id, claims.once))
    expires = _FOR_EVER if claims.expires is None else claims.expires
    try:
        return await uses.claim(hashlib.sha256(named.encode()).hexdigest(), expires)
    except Used as error:
        error.dialect = claims.dialect
        raise


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
