"""What every store promises, on real ones."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from multiprocessing import Queue
from pathlib import Path
from secrets import token_hex

import pytest
from msgspec.structs import replace

from countermark.backends.stores.redis import client, link
from countermark.backends.stores.table import open_store
from countermark.core.errors import RateLimited, StoreUnavailable, Used
from countermark.core.tasks import Task
from countermark.identity.revocation import Revocation
from countermark.identity.session import Session
from countermark.ports import Page, Store, Ticket
from countermark.traffic.gcra import Limit
from tests.backends import redis_servers
from tests.backends.waiting import eventually

Open = Callable[[], Awaitable[Store]]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis_servers.Server]:
    redis_servers.needs_redis()
    with redis_servers.single(tmp_path_factory.mktemp("single")) as server:
        yield server


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis_servers.Server]:
    program = redis_servers.valkey()
    with redis_servers.single(tmp_path_factory.mktemp("valkey"), program=program) as server:
        yield server


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis_servers.Group]:
    redis_servers.needs_redis()
    with redis_servers.group(tmp_path_factory.mktemp("group")) as servers:
        yield servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis_servers.Cluster]:
    redis_servers.needs_redis()
    with redis_servers.cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about answers, not about how soon a store counts as away (test_redis_faults.py): beside the whole suite
    a process may wait longer than that for the processor."""
    _be_patient(monkeypatch.setattr)


@pytest.fixture(params=["sqlite", "single", "valkey", "sentinel", "cluster"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    match request.param:
        case "sqlite":
            return f"sqlite:{tmp_path}/store.db"
        case "single" | "valkey":
            server: redis_servers.Server = request.getfixturevalue(request.param)
            server.client.flushall()
            return server.url
        case "sentinel":
            servers: redis_servers.Group = request.getfixturevalue("group")
            servers.master.client.flushall()
            redis_servers.until(lambda: servers.master.client.wait(1, 100) == 1, "a replica that follows")
            return f"{servers.url}?wait=1"
        case _:
            nodes: redis_servers.Cluster = request.getfixturevalue("cluster")
            for node in nodes.nodes:
                node.client.flushall()
            return nodes.url


@pytest.fixture
async def open_again(url: str) -> AsyncIterator[Open]:
    """Opens what another process would open."""
    async with AsyncExitStack() as closing:

        async def open_one() -> Store:
            opened = await open_store(url)
            closing.callback(opened.cells.file.unlink, missing_ok=True)
            closing.push_async_callback(opened.close)
            return opened

        yield open_one


@pytest.fixture
async def store(open_again: Open) -> Store:
    return await open_again()


def ticket(id: str = "", **changes: object) -> Ticket:
    now = time.time()
    plain = Ticket(id=id or token_hex(8), issued=now + 60, expires=int(now) + 600, attempt=token_hex(8))
    return replace(plain, **changes)


def limit(burst: int, key: str = "", interval: float = 100.0) -> Limit:
    return Limit(name="client", key=key or token_hex(8), interval=interval, burst=burst)


def revocation(value: str) -> Revocation:
    return Revocation(kind="jti", value=value, created=1_700_000_000.0, reason="leaked", author="alice")


def session(**changes: object) -> Session:
    now = time.time()
    plain = Session(
        id=token_hex(16),
        generation=1,
        sealed=b"\x00\xff sealed",
        site="shop",
        user="u1",
        created=now,
        expires=int(now) + 600,
    )
    return replace(plain, **changes)


def task(due: float, **changes: object) -> Task:
    plain = Task(id=token_hex(8), kind="purge", payload=b'{"tags":["a"]}', created=due, due=due)
    return replace(plain, **changes)


async def entered(store: Store, one: Ticket) -> bool:
    """Whether the ticket was taken; nothing but Used is a no."""
    try:
        await store.turnstile.enter((), one, time.time())
    except Used:
        return False
    return True


# The turnstile: single uses


async def test_a_ticket_opens_once(store: Store) -> None:
    """Another attempt is refused, another ticket is not."""
    await store.turnstile.enter((), ticket("a"), time.time())
    with pytest.raises(Used):
        await store.turnstile.enter((), ticket("a"), time.time())
    await store.turnstile.enter((), ticket("b"), time.time())


async def test_an_attempt_that_is_repeated_gets_the_same_answer(store: Store) -> None:
    """An answer that was lost on its way can be asked for again."""
    one = ticket()
    assert await entered(store, one)
    assert await entered(store, one)
    assert not await entered(store, ticket(one.id))
    assert await entered(store, one)


async def test_a_use_that_was_given_back_can_be_taken(store: Store) -> None:
    """A transfer that failed costs nothing; whoever gives back late takes nothing from the one who holds it now."""
    first = await store.turnstile.enter((), ticket("a"), time.time())
    assert first.use is not None
    await first.use.release()
    await store.turnstile.enter((), ticket("a"), time.time())
    await first.use.release()
    with pytest.raises(Used):
        await store.turnstile.enter((), ticket("a"), time.time())


async def test_of_many_who_come_at_once_one_gets_it(store: Store, open_again: Open) -> None:
    """Also when they come through several workers."""
    other = await open_again()
    outcomes = await asyncio.gather(*(entered(each, ticket("a")) for each in (store, other) for _ in range(50)))
    assert sum(outcomes) == 1


async def test_a_use_is_remembered_by_the_next_process(store: Store, open_again: Open) -> None:
    """What was used before a restart of the gateway is used."""
    await store.turnstile.enter((), ticket("a"), time.time())
    await store.close()
    with pytest.raises(Used):
        await (await open_again()).turnstile.enter((), ticket("a"), time.time())


async def test_what_nobody_can_present_any_more_is_forgotten(store: Store) -> None:
    """An hour behind its end a ticket takes no room; a minute behind it does, for clocks that are not quite right."""
    now = int(time.time())
    assert await entered(store, ticket("old", expires=now - 3700))
    assert await entered(store, ticket("recent", expires=now - 60))
    assert not await entered(store, ticket("recent", expires=now - 60))
    await store.close()


def _be_patient(put: Callable[[object, str, float], None]) -> None:
    for module, name in ((link, "_FLIGHT_SECONDS"), (client, "ANSWER_SECONDS"), (client, "CONNECT_SECONDS")):
        put(module, name, 5.0)


async def _all_tried(url: str, tickets: list[Ticket]) -> list[str]:
    store = await open_store(url)
    tries = [entered(store, replace(each, attempt=token_hex(8))) for each in tickets]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    await store.close()
    return [each.id for each, outcome in zip(tickets, outcomes, strict=True) if outcome is True]


def _try_all(url: str, tickets: list[Ticket], granted: Queue[list[str]]) -> None:
    """In a process of its own, where no fixture was."""
    _be_patient(setattr)
    granted.put(asyncio.run(_all_tried(url, tickets)))


async def test_processes_that_come_at_once_share_no_ticket(url: str) -> None:
    """Three processes and three hundred tickets: none opens twice, and the store's file is made by one of them."""
    context = multiprocessing.get_context("spawn")
    granted = context.Queue()
    tickets = [ticket() for _ in range(300)]
    children = [context.Process(target=_try_all, args=(url, tickets, granted)) for _ in range(3)]
    for child in children:
        child.start()
    ids = [id for _ in children for id in await asyncio.to_thread(granted.get, timeout=40)]
    for child in children:
        child.join()
    assert len(ids) == len(set(ids))
    assert ids


# The turnstile: rates


async def test_a_limit_lets_its_burst_through_and_then_says_how_long_to_wait(store: Store) -> None:
    """The verdicts count down; the refusal names the limit and whole seconds."""
    ceiling = limit(3)
    remaining = []
    for _ in range(3):
        entry = await store.turnstile.enter((ceiling,), None, time.time())
        remaining.append(entry.verdicts[0].remaining)
    assert remaining == [2, 1, 0]
    with pytest.raises(RateLimited) as caught:
        await store.turnstile.enter((ceiling,), None, time.time())
    assert caught.value.limit == "client"
    assert 90 <= caught.value.retry_after <= 100


async def test_a_limit_fills_up_again(store: Store) -> None:
    """With a short interval the next one is soon allowed."""
    ceiling = limit(1, interval=0.05)
    await store.turnstile.enter((ceiling,), None, time.time())

    async def allowed() -> bool:
        try:
            await store.turnstile.enter((ceiling,), None, time.time())
        except RateLimited:
            return False
        return True

    async with asyncio.timeout(10):
        while not await allowed():
            pass


async def test_limits_are_taken_all_or_none(store: Store) -> None:
    """What one limit refuses counts against no other, and takes no use."""
    wide, narrow, one = limit(5), limit(1), ticket()
    await store.turnstile.enter((wide, narrow), None, time.time())
    for _ in range(3):
        with pytest.raises(RateLimited):
            await store.turnstile.enter((wide, narrow), one, time.time())
    entry = await store.turnstile.enter((wide,), one, time.time())
    assert entry.verdicts[0].remaining == 3
    assert entry.use is not None


async def test_workers_count_together(store: Store, open_again: Open) -> None:
    """A client's second connection may end at another worker."""
    ceiling = limit(4)
    other = await open_again()
    for each in (store, other, store, other):
        await each.turnstile.enter((ceiling,), None, time.time())
    for each in (store, other):
        with pytest.raises(RateLimited):
            await each.turnstile.enter((ceiling,), None, time.time())


# Revocations


async def collected(pages: AsyncIterator[Page], count: int) -> tuple[list[str], str]:
    """The first so many values that a follower hears of, and the cursor behind them."""
    values: list[str] = []
    cursor = ""
    async with asyncio.timeout(20):
        while len(values) < count:
            page = await anext(pages)
            values += [entry.value for entry in page.revocations]
            cursor = page.cursor
    return values, cursor


async def test_the_list_is_read_in_order_and_whole(store: Store) -> None:
    """Pages end where asked, an empty one is the end, and every field comes back."""
    entries = [revocation(f"j{number}") for number in range(25)]
    assert (await store.revocations.read("")).revocations == ()
    await store.revocations.append(entries[:10])
    last = await store.revocations.append(entries[10:])
    found, cursor = [], ""
    while (page := await store.revocations.read(cursor, limit=10)).revocations:
        found += page.revocations
        cursor = page.cursor
    assert found == entries
    assert cursor == last == page.cursor


async def test_a_follower_hears_of_each_entry(store: Store, open_again: Open) -> None:
    """What was there, what another process adds, and what its own adds; with signs of life in between."""
    other = await open_again()
    await store.revocations.append([revocation("before")])
    async with aclosing(store.revocations.follow("")) as pages:
        assert (await collected(pages, 1))[0] == ["before"]
        await other.revocations.append([revocation("theirs")])
        assert (await collected(pages, 1))[0] == ["theirs"]
        await store.revocations.append([revocation("ours")])
        assert (await collected(pages, 1))[0] == ["ours"]
        assert (await anext(pages)).revocations == ()


async def test_a_follower_that_comes_back_misses_nothing(store: Store, open_again: Open) -> None:
    """It resumes at its cursor, in whatever process."""
    other = await open_again()
    cursor, heard = "", []
    for round_ in range(20):
        await other.revocations.append([revocation(f"{round_}a"), revocation(f"{round_}b")])
        async with aclosing((store if round_ % 2 else other).revocations.follow(cursor)) as pages:
            values, cursor = await collected(pages, 2)
        heard += values
    assert heard == [f"{round_}{half}" for round_ in range(20) for half in "ab"]


async def test_a_follower_gets_a_long_list_whole(store: Store) -> None:
    """Also what one page does not hold, and without waiting for the next entry. A store that answers too late on a busy
    machine is asked again, as whoever follows does."""
    entries = [revocation(f"j{number}") for number in range(12_000)]
    async with asyncio.timeout(50):
        while not await appended(store, entries):
            continue
        found: dict[str, None] = {}
        after = ""
        while len(found) < len(entries):
            with suppress(StoreUnavailable):
                async with aclosing(store.revocations.follow(after)) as pages:
                    async for page in pages:
                        after = page.cursor
                        found |= dict.fromkeys(entry.value for entry in page.revocations)
                        if len(found) >= len(entries):
                            break
    assert list(found) == [entry.value for entry in entries]


async def appended(store: Store, entries: list[Revocation]) -> bool:
    """Whether all of them stand on the list."""
    try:
        await store.revocations.append(entries)
    except StoreUnavailable:
        return False
    return True


async def test_an_empty_list_gives_signs_of_life(store: Store) -> None:
    """So that whoever follows can tell silence from a broken line."""
    async with asyncio.timeout(20), aclosing(store.revocations.follow("")) as pages:
        for _ in range(3):
            assert (await anext(pages)).revocations == ()


# Sessions


async def test_a_session_comes_back_as_it_was(store: Store, open_again: Open) -> None:
    """In every process; one that was never made is None."""
    made = session()
    await store.sessions.create(made)
    assert await (await open_again()).sessions.read(made.id) == made
    assert await store.sessions.read("nobody") is None


async def test_an_id_that_is_taken_makes_no_second_session(store: Store) -> None:
    """Making the very same one again is allowed: its answer may have been lost."""
    made = session()
    await store.sessions.create(made)
    await store.sessions.create(made)
    with pytest.raises(StoreUnavailable):
        await store.sessions.create(replace(made, user="somebody else"))
    assert await store.sessions.read(made.id) == made


async def test_a_session_is_replaced_from_its_present_state_only(store: Store, open_again: Open) -> None:
    """Of two refreshes at once one wins, and nothing follows an end."""
    made = session()
    await store.sessions.create(made)
    other = await open_again()
    second = replace(made, generation=2, sealed=b"second")
    won = await asyncio.gather(*(each.sessions.replace(second, generation=1) for each in (store, other)))
    assert sorted(won) == [False, True]
    ended = replace(second, ended=time.time())
    assert await other.sessions.replace(ended, generation=2)
    assert not await store.sessions.replace(replace(second, generation=3), generation=2)
    assert await store.sessions.read(made.id) == ended
    assert not await store.sessions.replace(session(), generation=1)


async def test_living_sessions_are_found_by_user_and_client(store: Store) -> None:
    """Ended and expired ones are not."""
    now = int(time.time())
    kept = session(user="anna", client_id="acme")
    others = (
        session(user="anna", client_id="other"),
        session(user="bert", client_id="acme"),
        session(user="anna", client_id="acme", expires=now - 5),
        session(user="anna", client_id="acme", ended=now - 1.0),
    )
    for each in (kept, *others):
        await store.sessions.create(each)
    gone = session(user="anna", client_id="acme")
    await store.sessions.create(gone)
    await store.sessions.replace(replace(gone, ended=float(now)), generation=1)

    async def ids(**named: str) -> set[str]:
        return {found.id for found in await store.sessions.of(**named)}

    assert await ids(user="anna", client_id="acme") == {kept.id}
    assert await ids(user="anna") == {kept.id, others[0].id}
    assert await ids(client_id="acme") == {kept.id, others[1].id}
    assert await ids() == {kept.id, others[0].id, others[1].id}


# The outbox


async def test_a_task_is_leased_to_one_at_a_time(store: Store, open_again: Open) -> None:
    """And is not before it is due."""
    now = time.time()
    first, later = task(now - 1), task(now + 50)
    await store.outbox.put([first, later])
    other = await open_again()
    found = await asyncio.gather(*(each.outbox.lease(limit=10, seconds=30, now=now) for each in (store, other)))
    assert sorted(found, key=len) == [(), (first,)]
    assert [leased.id for leased in await store.outbox.lease(limit=10, seconds=30, now=now + 51)] == [
        first.id,
        later.id,
    ]


async def test_a_lease_that_ran_out_is_an_attempt_more(store: Store) -> None:
    """Whoever dies over a task need not say so."""
    now = time.time()
    await store.outbox.put([task(now)])
    assert [(await store.outbox.lease(limit=1, seconds=10, now=now + at))[0].attempts for at in (0, 11, 22)] == [
        0,
        1,
        2,
    ]


async def test_a_task_is_put_off_or_done(store: Store) -> None:
    """Put off, it comes back with one attempt more; done, it never does."""
    now = time.time()
    one = task(now)
    await store.outbox.put([one])
    await store.outbox.lease(limit=1, seconds=10, now=now)
    await store.outbox.put_off(one.id, due=now + 100)
    assert await store.outbox.lease(limit=1, seconds=10, now=now + 50) == ()
    (again,) = await store.outbox.lease(limit=1, seconds=10, now=now + 100)
    assert (again.payload, again.attempts) == (one.payload, 1)
    await store.outbox.done(one.id)
    await store.outbox.put_off(one.id, due=now)
    assert await store.outbox.lease(limit=1, seconds=10, now=now + 10_000) == ()


async def test_a_task_of_the_same_id_is_the_same_task(store: Store) -> None:
    """Who is not sure that it was put may put it again."""
    now = time.time()
    one = task(now)
    await store.outbox.put([one])
    await store.outbox.put([one, replace(one, payload=b"{}")])
    assert await store.outbox.lease(limit=10, seconds=10, now=now) == (one,)


async def test_tasks_come_in_the_order_in_which_they_are_due(store: Store) -> None:
    """As many as asked for, the longest due first."""
    now = time.time()
    tasks = [task(now - 10 + number) for number in range(5)]
    await store.outbox.put(tasks[::-1])
    assert await store.outbox.lease(limit=3, seconds=10, now=now) == tuple(tasks[:3])


async def test_a_store_that_works_has_no_trouble(store: Store) -> None:
    """Nor before it was first asked."""
    await eventually(lambda: store.trouble == "")
    await store.turnstile.enter((limit(1),), ticket(), time.time())
    assert store.trouble == ""
    assert await store.look() == ""
