"""The list of revocations as a stream, which nothing here ever trims."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from secrets import token_hex

import msgspec

from countermark.backends.stores.redis.client import TROUBLES
from countermark.backends.stores.redis.link import Link, unavailable
from countermark.backends.stores.redis.links import LISTS, key
from countermark.backends.stores.redis.scripts import APPEND, READ
from countermark.identity.revocation import Revocation
from countermark.ports import Page

_STREAM = key(LISTS, "revocations")
_LIST = key(LISTS, "revocations-id")
_BLOCK_SECONDS = 0.4
_LATE_SECONDS = 0.3  # a server looks ten times a second whose time is over
_SIGN_OF_LIFE_SECONDS = 0.3
_APPENDED_TOGETHER = 500
_READ_TOGETHER = 500

_decode = msgspec.json.Decoder(Revocation).decode
_encode = msgspec.json.Encoder().encode


class _Read(msgspec.Struct, array_like=True):
    listed: bytes
    origin: bytes
    entries: list[tuple[bytes, tuple[bytes, bytes]]]


class RedisRevocationLog:
    """A cursor is LIST.PLACE: the random id of the list, and a stream id. Where the list was lost the id differs, and the
    reader begins anew.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def append(self, revocations: Sequence[Revocation]) -> str:
        bodies = [_encode(revocation) for revocation in revocations]
        cursor = ""
        for start in range(0, len(bodies), _APPENDED_TOGETHER) or (0,):
            part = bodies[start : start + _APPENDED_TOGETHER]
            listed, place = await self._link.run(APPEND, [_STREAM, _LIST], [token_hex(8), *part], durable=True)
            cursor = f"{listed.decode()}.{place.decode()}"
        return cursor

    async def read(self, after: str, limit: int = 10_000) -> Page:
        listed, _, place = after.rpartition(".")
        # Bounded, as nobody else is answered while the server reads.
        count = min(limit, _READ_TOGETHER)
        answer = await self._link.run(READ, [_STREAM, _LIST], [listed, place or "0-0", count])
        try:
            found = msgspec.convert(answer, _Read)
            revocations = tuple([_decode(fields[1]) for _, fields in found.entries])
        except (msgspec.MsgspecError, ValueError) as error:
            raise unavailable(f"the list cannot be read: {error}") from None
        end = found.entries[-1][0] if found.entries else found.origin
        return Page(revocations=revocations, cursor=f"{found.listed.decode()}.{end.decode()}")

    async def follow(self, after: str) -> AsyncIterator[Page]:
        client = self._link.own_client(_BLOCK_SECONDS + _LATE_SECONDS)
        spoke = float("-inf")
        try:
            while True:
                page = await self.read(after)
                after = page.cursor
                if page.revocations or time.monotonic() - spoke >= _SIGN_OF_LIFE_SECONDS:
                    yield page
                    spoke = time.monotonic()
                if not page.revocations:
                    # It only wakes; what is new is read the one way, which notices when the list is another one.
                    place = after.rpartition(".")[2]
                    await client.xread({_STREAM: place}, count=1, block=int(_BLOCK_SECONDS * 1000))
        except TROUBLES as error:
            self._link.fail(error)
            raise unavailable(str(error)) from None
        finally:
            await client.aclose()
