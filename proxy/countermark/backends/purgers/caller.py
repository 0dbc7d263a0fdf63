"""The calls of a purge, and what the answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from aiohttp import ClientError, ClientSession
from msgspec import Struct
from yarl import URL

from countermark.backends.outward import hopeless, retry_after
from countermark.core.errors import PurgeFailed

AT_ONCE = 4
ANSWER_BYTES = 64 * 1024


def _agrees(_: bytes) -> bool:
    return True


class Call(Struct, frozen=True, kw_only=True):
    """One request. `nothing` are statuses that say that nothing was kept; `agrees` reads the body of a success, for vendors
    that refuse with status 200."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""
    nothing: frozenset[int] = frozenset()
    agrees: Callable[[bytes], bool] = _agrees


Calls = Callable[[Sequence[str], Sequence[str]], Iterable[Call]]
"""The calls that remove what carries one of the tags, or these URLs."""


class CallingPurger:
    """A CDN that is purged by HTTP calls, a few at once. A purge is repeated whole: to remove twice does no harm."""

    def __init__(self, name: str, calls: Calls, session: ClientSession) -> None:
        self._name = name
        self._calls = calls
        self._session = session

    async def purge(self, *, tags: Sequence[str], urls: Sequence[str]) -> None:
        failures: list[PurgeFailed] = []
        places = asyncio.Semaphore(AT_ONCE)

        async def place(call: Call) -> None:
            async with places:
                if any(failure.retry_after is not None for failure in failures):
                    return  # it asked for a pause
                try:
                    await self._send(call)
                except PurgeFailed as failure:
                    failures.append(failure)

        # One cache of several that is away keeps the others from nothing.
        await asyncio.gather(*(place(call) for call in self._calls(tags, urls)))
        if failures:
            raise max(failures, key=lambda failure: (failure.retry_after or 0.0, failure.final))

    async def close(self) -> None:
        await self._session.close()

    async def _send(self, call: Call) -> None:
        url = URL(call.url, encoded=True)
        try:
            # A redirect is not followed: it would lead credentials to another host.
            async with self._session.request(
                call.method, url, headers=call.headers, data=call.body or None, allow_redirects=False
            ) as response:
                body = await response.content.read(ANSWER_BYTES)
        except TimeoutError as error:
            raise self._failed(f"{url.host} took too long to answer.") from error
        except (ClientError, OSError) as error:
            raise self._failed(f"{url.host} cannot be reached.", private=repr(error)) from error
        if response.status in call.nothing:
            return
        if not 200 <= response.status < 300:
            said = f"{url.host} answered {response.status}."
            raise self._failed(said, retry_after=retry_after(response), final=hopeless(response.status))
        if not call.agrees(body):
            raise self._failed(f"{url.host} refused the purge.", final=True)

    def _failed(
        self, text: str, *, private: str = "", retry_after: float | None = None, final: bool = False
    ) -> PurgeFailed:
        return PurgeFailed(
            f"The CDN {self._name} was not purged: {text}", private=private, retry_after=retry_after, final=final
        )
