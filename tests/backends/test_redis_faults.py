"""A Redis that dies, forgets, is replaced, says nothing or speaks nonsense: single uses fail closed, rates go on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from countermark.backends.stores.redis.links import digest, key, uses_room
from countermark.backends.stores.redis.store import RedisStore
from countermark.backends.stores.redis.turnstile import SKEW
from countermark.backends.stores.table import open_store
from countermark.core.errors import ConfigurationInvalid, RateLimited, StoreUnavailable, Used
from countermark.identity.revocation import Revocation
from countermark.ports import Ticket
from countermark.traffic.gcra import Limit
from tests.backends import redis_servers
from tests.backends.redis_servers import Server
from tests.backends.waiting import eventually

Open = Callable[[str], Awaitable[RedisStore]]


def ticket(id: str, issued: float | None = None) -> Ticket:
    now = time.time()
    return Ticket(id=id, issued=now + 60 if issued is None else issued, expires=int(now) + 600, attempt=token_hex(8))


def limit(burst: int) -> Limit:
    return Limit(name="client", key=token_hex(8), interval=100.0, burst=burst)


def revocation(value: str) -> Revocation:
    return Revocation(kind="jti", value=value, created=1.0)


async def refused(store: RedisStore, one: Ticket) -> bool:
    """Whether the ticket is refused because nobody can say if it was used."""
    try:
        await store.turnstile.enter((), one, time.time())
    except StoreUnavailable:
        return True
    return False


async def restarted(server: Server, store: RedisStore) -> None:
    """Kill it and start it empty; return when the store has noticed both."""
    server.kill()
    assert await refused(store, ticket("while it is away"))
    server.start()
    await well(store)


async def well(store: RedisStore) -> None:
    await eventually(lambda: store.trouble == "")


@pytest.fixture(autouse=True)
def program() -> None:
    redis_servers.needs_redis()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with redis_servers.single(tmp_path / "redis") as started:
        yield started


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with AsyncExitStack() as closing:

        async def open_one(url: str) -> RedisStore:
            store = await open_store(url)
            assert isinstance(store, RedisStore)
            closing.callback(store.cells.file.unlink, missing_ok=True)
            closing.push_async_callback(store.close)
            return store

        yield open_one


async def at_work(opened: Open, url: str) -> RedisStore:
    """The store of a server that is there: on a busy machine it may not be reached at once."""
    store = await opened(url)
    async with asyncio.timeout(20):
        while await store.look():
            await asyncio.sleep(0.02)
    return store


@asynccontextmanager
async def listening(answer: Callable[[bytes], bytes | None], *, late: float = 0.0) -> AsyncIterator[str]:
    """A server that answers each chunk as told, so many seconds late; None says nothing. Yields its URL."""
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            while chunk := await reader.read(65536):
                words = answer(chunk)
                await asyncio.sleep(late)
                if words is not None:
                    writer.write(words)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# What a server forgets


async def test_a_server_that_forgot_everything_opens_nothing_twice(server: Server, opened: Open) -> None:
    """The epoch guard: after a restart without its data what was issued before is refused, what is issued later is not."""
    store = await at_work(opened, server.url)
    old = time.time()
    await store.turnstile.enter((), ticket("used", old + SKEW + 1), time.time())
    await restarted(server, store)
    for issued in (old, old - 500, float("-inf")):
        assert await refused(store, ticket("used", issued))
        assert await refused(store, ticket("never used", issued))
    assert not await refused(store, ticket("new", time.time() + SKEW + 1))


async def test_a_first_start_trusts_nothing_older_than_itself(server: Server, opened: Open) -> None:
    """An empty server may be one that lost everything: nobody can tell the two apart."""
    store = await at_work(opened, server.url)
    assert await refused(store, ticket("a", time.time() - 1))
    assert not await refused(store, ticket("b", time.time() + SKEW + 1))


async def test_emptying_a_running_server_is_noticed(server: Server, opened: Open) -> None:
    """FLUSHALL forgets uses like a restart does."""
    store = await at_work(opened, server.url)
    issued = time.time() + SKEW + 1
    await store.turnstile.enter((), ticket("a", issued), time.time())
    server.client.flushall()
    assert await refused(store, ticket("a", time.time()))


async def test_a_follower_of_a_server_that_forgot_begins_anew(server: Server, opened: Open) -> None:
    """It hears of what is on the new list, though its cursor is ahead of it."""
    store = await at_work(opened, server.url)
    cursor = await store.revocations.append([revocation("lost")])
    await restarted(server, store)
    server.client.execute_command("XADD", "countermark:{lists}:other", "*", "a", "b")
    await store.revocations.append([revocation("kept")])
    assert [entry.value for entry in (await store.revocations.read(cursor)).revocations] == ["kept"]


async def test_a_follower_resumes_over_broken_connections(server: Server, opened: Open) -> None:
    """Cut while it waits, it raises or connects anew; from its cursor it hears of everything, and of nothing twice."""
    reader, writer = await at_work(opened, server.url), await at_work(opened, server.url)
    heard: list[str] = []

    async def follow() -> None:
        cursor = ""
        while True:
            await well(reader)
            try:
                async with aclosing(reader.revocations.follow(cursor)) as pages:
                    async for page in pages:
                        heard.extend(entry.value for entry in page.revocations)
                        cursor = page.cursor
            except StoreUnavailable:
                continue

    follower = asyncio.create_task(follow())
    for number in range(20):
        await eventually(lambda: any(each["cmd"] == "xread" for each in server.client.client_list()))
        for each in server.client.client_list():
            if each["cmd"] == "xread":
                server.client.client_kill_filter(_id=each["id"])
        await writer.revocations.append([revocation(f"r{number}")])
    await eventually(lambda: len(heard) >= 20)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    assert heard == [f"r{number}" for number in range(20)]


async def test_a_use_that_was_evicted_is_not_taken_again(server: Server, opened: Open) -> None:
    """The server has lived for long, and goes on: only its evictions tell that it may have forgotten."""
    store = await at_work(opened, server.url)
    now = time.time()
    await store.turnstile.enter((), ticket("a", now + SKEW + 1), now)
    named = digest("b")
    server.client.hset(key(uses_room(named), "epoch"), mapping={"run": await life_of(server), "from": "0"})
    await store.turnstile.enter((), ticket("b", now), now)
    server.client.config_set("maxmemory-policy", "volatile-random")
    server.client.config_set("maxmemory", 1)
    await eventually(lambda: not server.client.exists(key(uses_room(named), f"use:{named}")))
    server.client.config_set("maxmemory", 0)
    await well(store)
    assert server.client.exists(key(uses_room(named), "epoch"))
    assert await refused(store, ticket("b", now))
    assert not await refused(store, ticket("c", time.time() + 2 * SKEW))


async def life_of(server: Server) -> str:
    """As the script names it."""
    return f"{server.client.info('server')['run_id']}.{server.client.info('stats')['evicted_keys']}"


@pytest.mark.parametrize(
    ("limit", "policy", "told"),
    [("0", "allkeys-lru", ""), ("100mb", "noeviction", ""), ("100mb", "volatile-lru", "volatile-lru")],
)
async def test_a_server_that_evicts_is_told(server: Server, opened: Open, limit: str, policy: str, told: str) -> None:
    """Where it has no limit, or no such policy, nothing is."""
    server.client.config_set("maxmemory-policy", policy)
    server.client.config_set("maxmemory", limit)
    store = await at_work(opened, server.url)
    assert told in store.evicts
    assert bool(store.evicts) == bool(told)


# What replaces a server


async def test_a_failover_opens_nothing_twice(tmp_path: Path, opened: Open) -> None:
    """Sentinels name another master: the store goes there, and what was issued before is refused."""
    with redis_servers.group(tmp_path) as group:
        store = await at_work(opened, group.url)
        await store.turnstile.enter((), ticket("a", time.time() + SKEW + 1), time.time())
        await asyncio.to_thread(group.fail_over)
        before = time.time()
        life = group.replica.client.info("server")["run_id"].encode()
        async with asyncio.timeout(20):
            epoch = key(uses_room(digest("never")), "epoch")
            while not (group.replica.client.hget(epoch, "run") or b"").startswith(life):
                assert await refused(store, ticket("never", before))
                await asyncio.sleep(0.02)
        with pytest.raises(Used):
            await store.turnstile.enter((), ticket("a", before), time.time())
        assert await refused(store, ticket("never", before))
        assert not await refused(store, ticket("later", time.time() + SKEW + 2))


async def test_a_use_that_no_replica_has_is_none(tmp_path: Path, opened: Open) -> None:
    """With ?wait=1 a primary that is cut off from its replica grants nothing; rates do not care."""
    with redis_servers.single(tmp_path) as alone:
        store = await at_work(opened, f"{alone.url}?wait=1")
        assert await refused(store, ticket("a"))
        assert "replicas" in store.trouble
        ceiling = limit(1)
        await store.turnstile.enter((ceiling,), None, time.time())
        with pytest.raises(RateLimited):
            await store.turnstile.enter((ceiling,), None, time.time())


# What a server says, or does not say


async def test_a_dead_server_is_remembered_and_found_again(server: Server, opened: Open) -> None:
    """Tickets are refused without waiting, rates are counted here, and all is well when it is back."""
    store = await at_work(opened, server.url)
    assert store.turnstile.at_once((limit(1),), time.time()) is None
    server.kill()
    assert await refused(store, ticket("a"))
    assert "Connection" in store.trouble or "closed" in store.trouble.lower()
    ceiling = limit(2)
    assert store.turnstile.at_once((ceiling,), time.time()) is not None
    assert (await store.turnstile.enter((ceiling,), None, time.time())).verdicts[0].remaining == 0
    with pytest.raises(RateLimited):
        store.turnstile.at_once((ceiling,), time.time())
    for call in (store.sessions.read("a"), store.sessions.of(), store.revocations.read(""), store.outbox.done("a")):
        with pytest.raises(StoreUnavailable):
            await call
    server.start()
    await well(store)
    assert not await refused(store, ticket("a", time.time() + 2 * SKEW))


async def test_who_looks_learns_of_trouble_that_nobody_has_met(server: Server, opened: Open) -> None:
    """A silent server is told at the first look, and a well one as soon as it is."""
    store = await at_work(opened, server.url)
    assert await store.look() == ""
    server.signal(signal.SIGSTOP)
    try:
        assert store.trouble == ""
        assert "imeout" in await store.look()
    finally:
        server.signal(signal.SIGCONT)
    await well(store)
    assert await store.look() == ""


async def test_a_server_that_falls_silent_is_noticed(server: Server, opened: Open) -> None:
    """It accepts connections and never answers; those who asked at the same moment do not wait one after another."""
    store = await at_work(opened, server.url)
    server.signal(signal.SIGSTOP)
    try:
        assert all(await asyncio.gather(*(refused(store, ticket(f"t{number}")) for number in range(500))))
        assert store.trouble
    finally:
        server.signal(signal.SIGCONT)
    await well(store)
    assert not await refused(store, ticket("later"))


async def test_a_store_opens_before_its_server_does(tmp_path: Path, opened: Open) -> None:
    """A gateway starts without its Redis, says so, and finds it when it comes."""
    server = Server(tmp_path)
    store = await opened(server.url)
    assert store.trouble
    assert await refused(store, ticket("a"))
    server.start()
    try:
        await well(store)
        assert not await refused(store, ticket("a"))
    finally:
        server.kill()


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\x00\xff\xfe garbage without an end",
        b"$-5\r\n",
        b"*1000000000\r\n",
        b":1\r\n" * 50,
        b"+OK\r\n" * 50,
        b"-LOADING the data set\r\n" * 50,
        None,
    ],
)
async def test_a_server_that_speaks_nonsense_is_no_store(words: bytes | None, opened: Open) -> None:
    """Whatever it says, nothing opens by it."""
    async with listening(lambda _: words) as url:
        store = await opened(url)
        assert store.trouble
        assert await refused(store, ticket("a"))
        assert (await store.turnstile.enter((limit(1),), None, time.time())).verdicts[0].allowed


async def test_a_slow_server_is_no_store(opened: Open) -> None:
    """What comes later than a request can wait is no answer."""
    async with listening(lambda _: b"+OK\r\n" * 50, late=0.3) as url:
        store = await opened(url)
        assert "imeout" in store.trouble
        assert await refused(store, ticket("a"))
        assert (await store.turnstile.enter((limit(1),), None, time.time())).verdicts[0].allowed


@pytest.mark.parametrize(
    "outcome", [b":1\r\n", b"+OK\r\n", b"*1\r\n$5\r\nmaybe\r\n", b"*2\r\n$2\r\nok\r\n$1\r\n1\r\n", b"*0\r\n"]
)
async def test_an_answer_that_is_not_ours_opens_nothing(server: Server, opened: Open, outcome: bytes) -> None:
    """A server that understands the scripts' names and not the scripts."""
    shas: list[bytes] = []

    def answer(chunk: bytes) -> bytes:
        if b"LOAD" not in chunk:
            return outcome
        loaded = server.client.connection_pool.get_connection()
        try:
            loaded.send_packed_command([chunk])
            replies = [loaded.read_response() for _ in range(chunk.count(b"LOAD") + 2)]
        finally:
            server.client.connection_pool.release(loaded)
        shas.extend(replies[1:-1])
        return b"+OK\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(said), said) for said in replies[1:])

    async with listening(answer) as url:
        store = await opened(url)
        await eventually(lambda: store.trouble == "")  # at once, unless this process was kept waiting
        assert await refused(store, ticket("a"))
        assert shas


async def test_a_password_is_never_told(opened: Open) -> None:
    """Not by what is wrong with the URL, and not by trouble with the server."""
    for url in (
        "redis://:hunter2@h:port/",
        "redis://user:hunter2@h/0?wait=x",
        "redis+sentinel://user:hunter2@h/",
        "hunter2://",
        "redis://[hunter2",
    ):
        with pytest.raises(ConfigurationInvalid) as caught:
            await open_store(url)
        assert "hunter2" not in str(caught.value)
    store = await opened("redis://user:hunter2@127.0.0.1:1/0")
    assert store.trouble
    assert "hunter2" not in store.trouble
