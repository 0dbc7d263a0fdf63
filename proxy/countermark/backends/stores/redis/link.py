"""The way to one server: what waits is sent together, trouble is remembered, and mended in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as AnswerTimeout

from countermark.backends.ending import end
from countermark.backends.stores.redis.client import TROUBLES, Dialer
from countermark.backends.stores.redis.locate import Locate
from countermark.backends.stores.redis.scripts import MEMORY, RELEASE, SCRIPTS, Script
from countermark.core.errors import StoreUnavailable

Argument = str | bytes | int | float

_BATCH = 128
_FLIGHTS = 4
_FLIGHT_SECONDS = 0.09
_WAIT_MILLISECONDS = 30
_REFUSED_AT_ONCE = 4

# Each look for a server takes a millisecond from the requests that need none.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 0.4
_LATE = (AnswerTimeout, TimeoutError)

log = structlog.get_logger("countermark.redis")


class Link:
    """One server at a time, at the place that `locate` tells.

    A failure breaks the link: whatever is asked then is refused at once and waits for nothing, while a probe in the
    background locates the server anew until it can be written to. `broken` is why, "" while the link holds. `evicts` says
    by which of its settings the server forgets what it was told to keep, "" where it does not.
    """

    def __init__(self, dialer: Dialer, locate: Locate, probe_key: str) -> None:
        self.broken = "not connected yet"
        self.evicts = ""
        self._dialer = dialer
        self._wait = dialer.url.wait
        self._locate = locate
        self._probe_key = probe_key
        self._client: Redis | None = None
        self._place = ("", 0)
        self._mending: asyncio.Task[None] | None = None
        self._lanes = {durable: _Lane() for durable in (False, True)}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lagging = ""

    @property
    def trouble(self) -> str:
        """Why the server cannot be asked, or that its replicas do not follow."""
        return self.broken or self._lagging

    async def start(self) -> None:
        """Try once; where that fails go on in the background."""
        if not await self._mended():
            self._mending = asyncio.create_task(self._mend())

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], *, durable: bool = False
    ) -> Any:
        """The answer of a script. With `durable` it counts only once so many replicas have it as the URL's wait says.

        Raises StoreUnavailable, after a tenth of a second at the latest; it may have been run all the same.
        """
        if self._client is None:
            raise unavailable(self.broken)
        lane = self._lanes[durable and self._wait > 0]
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lane.waiting.append((("EVALSHA", script.sha, len(keys), *keys, *arguments), answer))
        if len(lane.waiting) == 1:
            asyncio.get_running_loop().call_soon(self._take_off, lane)
        return await answer

    async def look(self) -> None:
        """Whether the server itself answers; the link breaks where it does not."""
        with suppress(StoreUnavailable):
            await self.run(RELEASE, [self._probe_key], ["nobody's"])

    def own_client(self, patience: float) -> Redis:
        """A further client for what blocks, which the caller closes. Raises StoreUnavailable."""
        if self._client is None:
            raise unavailable(self.broken)
        return self._dialer.server(*self._place, patience=patience)

    def fail(self, error: BaseException) -> None:
        """Break the link, for whoever finds that the server does not work; once for each server that was located."""
        client, self._client = self._client, None
        if client is None:
            return
        self.broken = f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__
        log.warning("store is away", reason=self.broken)
        self._spawn(_closed(client))
        self._mending = asyncio.create_task(self._mend())

    async def close(self) -> None:
        """What is on its way is abandoned."""
        await end(self._mending, *self._tasks)
        self._refuse([waiting for lane in self._lanes.values() for waiting in lane.waiting], "the store is closed")
        client, self._client = self._client, None
        self.broken = "closed"
        if client is not None:
            await _closed(client)

    def _take_off(self, lane: _Lane) -> None:
        """All that was asked in one turn of the loop flies together; while many fly, what comes waits and is more."""
        while lane.waiting and lane.flights < _FLIGHTS:
            batch, lane.waiting = lane.waiting[:_BATCH], lane.waiting[_BATCH:]
            lane.flights += 1
            self._spawn(self._fly(lane, batch))

    async def _fly(self, lane: _Lane, batch: list[_Waiting]) -> None:
        wait = self._wait if lane is self._lanes[True] else 0
        client = self._client
        try:
            if client is None:
                self._refuse(batch, self.broken)
            else:
                self._land(batch, await _sent(client, batch, wait), wait)
        except TROUBLES as error:
            if wait and isinstance(error, _LATE):
                # Perhaps only the replicas are late (a server looks ten times a second whose WAIT is over).
                self._lagging = "replicas do not acknowledge in time"
                self._spawn(self.look())
            elif self._client is client:
                self.fail(error)
            self._refuse(batch, self.trouble)
        except BaseException:  # cancelled, because the link is closed
            self._refuse(batch, "abandoned")
            raise
        finally:
            lane.flights -= 1
            self._take_off(lane)

    def _land(self, batch: list[_Waiting], answers: list[Any], wait: int) -> None:
        error = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if error is not None:
            self.fail(error)
        if wait:
            self._lagging = "" if answers.pop() >= wait else f"fewer than {wait} replicas follow"
            if self._lagging:
                self._refuse(batch, self._lagging)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(unavailable(str(answer)))
            else:
                future.set_result(answer)

    def _refuse(self, batch: list[_Waiting], reason: str) -> None:
        """Some now and the rest in the next turns of the loop: all who have waited for a silent server would go on at the
        same moment, and requests that never asked it would stand behind them."""
        for _, future in batch[:_REFUSED_AT_ONCE]:
            if not future.done():
                future.set_exception(unavailable(reason))
        if rest := batch[_REFUSED_AT_ONCE:]:
            asyncio.get_running_loop().call_soon(self._refuse, rest, reason)

    async def _mend(self) -> None:
        pause = _FIRST_PAUSE
        while not await self._mended():
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _mended(self) -> bool:
        """Whether a server was found that takes scripts and writes."""
        client = None
        try:
            self._place = await self._locate()
            client = self._dialer.server(*self._place)
            # A replica, a server that is loading and one that is full all refuse a write.
            async with asyncio.timeout(_FLIGHT_SECONDS * 2):
                pipeline = client.pipeline(transaction=False)
                pipeline.execute_command("SET", self._probe_key, "1", "PX", 1000)
                for script in SCRIPTS:
                    pipeline.execute_command("SCRIPT", "LOAD", script.text)
                pipeline.execute_command("EVALSHA", MEMORY.sha, 0)
                _, *loaded, memory = await pipeline.execute()
            if [_text(sha) for sha in loaded] != [script.sha for script in SCRIPTS]:
                raise ValueError("the server answers something else than it was asked")
        except TROUBLES as error:
            if client is not None:
                await _closed(client)
            self.broken = f"{type(error).__name__}: {error}"[:200]
            return False
        self.evicts = _evicting(memory)
        if self.evicts:
            log.warning("store may forget", reason=self.evicts, host=self._place[0], port=self._place[1])
        if self.broken != "not connected yet":
            log.info("store is back", host=self._place[0], port=self._place[1])
        self._client, self.broken = client, ""
        return True

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def unavailable(reason: str) -> StoreUnavailable:
    """The error for what could not be asked or was not understood."""
    return StoreUnavailable("The gateway cannot read or write what it must remember.", private=reason)


_Waiting = tuple[tuple[Argument, ...], "asyncio.Future[Any]"]


class _Lane:
    """What waits to be sent, and how many batches are under way."""

    def __init__(self) -> None:
        self.waiting: list[_Waiting] = []
        self.flights = 0


async def _sent(client: Redis, batch: list[_Waiting], wait: int) -> list[Any]:
    async with asyncio.timeout(_FLIGHT_SECONDS):
        pipeline = client.pipeline(transaction=False)
        for command, _ in batch:
            pipeline.execute_command(*command)
        if wait:
            # WAIT looks at the writes of its own connection, so it travels with them.
            pipeline.execute_command("WAIT", wait, _WAIT_MILLISECONDS)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    if wait and not isinstance(answers[-1], int):
        raise ValueError(f"WAIT was answered {answers[-1]!r}"[:200])
    return answers


async def _closed(client: Redis) -> None:
    with suppress(*TROUBLES):
        await client.aclose()


def _evicting(memory: object) -> str:
    """By which settings a server evicts keys, from its INFO memory; "" where it does not, or does not say."""
    lines = memory.decode("utf-8", "replace").splitlines() if isinstance(memory, bytes) else []
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    limit, policy = facts.get("maxmemory", "0"), facts.get("maxmemory_policy", "noeviction")
    return f"maxmemory-policy {policy} with maxmemory {limit}" if limit != "0" and policy != "noeviction" else ""


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
