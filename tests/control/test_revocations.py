"""Revocations: what is named is taken back, what proves nothing is an error, and everybody who must know is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.control.evidence import Witness
from countermark.control.revocations import LiftOrder, RevocationOrder, _lines
from countermark.core.errors import CountermarkError, OrderInvalid, OrderTooLarge, RoleMissing, StoreUnavailable
from countermark.core.tasks import read_notice
from countermark.identity.revocation import Kind, Revocation, handles
from countermark.identity.surrogate import tag
from countermark.keys.keyring import Keyring
from tests.control.world import KEY, NOW, OPERATOR, SHOP_ONLY, World, signed


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_signed_url_revokes_the_grant_that_it_proves() -> None:
    """The entry is the one that the data plane looks for, and it may be forgotten once the URL has expired anyway."""
    world = World()
    url = signed("/shop/cat.jpg?w=800")
    added = await world.plane.revocations.add(RevocationOrder(url=url, reason="leaked"), OPERATOR)
    evidence = await Witness(fronts=world.fronts, keyring=Keyring([KEY]), sessions=world.store.sessions).prove(
        url, now=NOW
    )
    looked_for = {(handle.kind, handle.value) for handle in handles(evidence.claims, site="shop", template="")}
    entry = added.revocation
    assert (entry.kind, entry.value) in looked_for
    assert world.store.revocations.entries == [entry]
    assert (entry.author, entry.reason, entry.expires) == ("oncall", "leaked", int(NOW) + 3660)


@pytest.mark.parametrize(
    "url",
    [
        "/shop/cat.jpg",
        signed("/shop/cat.jpg")[:-1] + "A",
        signed("/shop/cat.jpg").replace("cat", "dog"),
        "/attic/cat.jpg?exp=1800000000&kid=k1&sig=x",
        "https://",
        "https://[::1/shop/cat.jpg",
        "javascript:alert(1)",
        "no url",
        f"/shop/cat.jpg?kid=ses_{'a' * 22}.1&exp=1800000000&sig={'A' * 43}",
    ],
)
async def test_a_url_that_proves_nothing_revokes_nothing(url: str) -> None:
    """Neither a slip nor a forged URL puts anything on the list."""
    world = World()
    with pytest.raises(OrderInvalid):
        await world.plane.revocations.add(RevocationOrder(url=url), OPERATOR)
    assert world.store.revocations.entries == []
    assert world.ear.notices == []


async def test_an_expired_url_still_proves_itself() -> None:
    """Proof needs no clock: what is over today may be replayed where clocks are wrong."""
    world = World()
    added = await world.plane.revocations.add(
        RevocationOrder(url=signed("/shop/cat.jpg", expires=int(NOW) - 10)), OPERATOR
    )
    assert added.revocation.kind == "grant"


async def test_a_url_of_another_host_belongs_to_that_hosts_site() -> None:
    """The site decides under whose audience the URL must prove itself."""
    world = World()
    path = signed("/press/cat.jpg", audience="press")
    order = RevocationOrder(url=f"https://press.example:443{path}")
    assert (await world.plane.revocations.add(order, OPERATOR)).purging == ("edge", "far")
    with pytest.raises(OrderInvalid, match="No site has this host"):
        await world.plane.revocations.add(RevocationOrder(url=f"https://other.example{path}"), OPERATOR)


async def test_the_cdn_forgets_the_picture_of_a_revoked_url() -> None:
    """Each CDN before the site gets the surrogate key of the object, and its URL without any signature."""
    world = World()
    await world.plane.revocations.add(
        RevocationOrder(url=f"https://press.example{signed('/press/a%20b.jpg', audience='press')}"), OPERATOR
    )
    purges = world.store.outbox.purges()
    assert {purge.cdn for purge in purges} == {"edge", "far"}
    for purge in purges:
        assert purge.tags == (tag("object", "press:a b.jpg"),)
        assert purge.urls == ("https://press.example/press/a%20b.jpg",)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("user", "alice", tag("user", "alice")),
        ("client", "acme", tag("client", "acme")),
        ("session", "a" * 22, tag("session", "a" * 22)),
        ("key", "k1", tag("key", "k1")),
        ("template", "render", tag("template", "render")),
        ("path", "shop:/shop/summer/", tag("site", "shop")),
    ],
)
async def test_each_kind_is_purged_by_its_surrogate_key(kind: Kind, value: str, expected: str) -> None:
    """What the gateway wrote on its answers is what the CDN is asked to forget."""
    world = World()
    await world.plane.revocations.add(RevocationOrder(kind=kind, value=value), OPERATOR)
    assert {purge.tags for purge in world.store.outbox.purges()} == {(expected,)}


async def test_a_critical_revocation_tells_on_call() -> None:
    """A notify task beside the purges, with the very notice that the log has."""
    world = World()
    await world.plane.revocations.add(RevocationOrder(kind="key", value="k1", severity="critical"), OPERATOR)
    (task,) = [task for task in world.store.outbox.tasks.values() if task.kind == "notify"]
    assert [read_notice(task)] == world.ear.notices
    assert world.ear.notices[0].severity == "critical"
    assert world.ear.notices[0].actor == "oncall"


async def test_lifting_is_an_entry_of_its_own_and_purges_nothing() -> None:
    """The list is append-only: what was lifted can still be read."""
    world = World()
    await world.plane.revocations.add(RevocationOrder(kind="user", value="alice"), OPERATOR)
    world.store.outbox.tasks.clear()
    lifted = await world.plane.revocations.lift(LiftOrder(kind="user", value="alice"), OPERATOR)
    assert [entry.lifted for entry in world.store.revocations.entries] == [False, True]
    assert lifted.purging == ()
    assert world.store.outbox.tasks == {}
    assert world.kinds() == ["revocation.added", "revocation.lifted"]


@pytest.mark.parametrize(
    "order",
    [
        RevocationOrder(),
        RevocationOrder(value="alice"),
        RevocationOrder(kind="user"),
        RevocationOrder(kind="user", value="a\nb"),
        RevocationOrder(kind="grant", value="A" * 64),
        RevocationOrder(kind="grant", value="ab"),
        RevocationOrder(kind="path", value="/shop/"),
        RevocationOrder(kind="path", value="attic:/attic/"),
        RevocationOrder(kind="path", value="shop:/press/"),
        RevocationOrder(kind="path", value="shop:/shop/../"),
        RevocationOrder(kind="path", value="shop:/shop/cat.jpg?w=1"),
        RevocationOrder(kind="user", value="alice", expires=int(NOW) - 1),
        RevocationOrder(url=signed("/shop/cat.jpg"), kind="user", value="alice"),
    ],
)
async def test_an_order_that_could_never_hit_is_refused(order: RevocationOrder) -> None:
    """Nobody takes a slip of the pen for a revocation."""
    world = World()
    with pytest.raises(OrderInvalid):
        await world.plane.revocations.add(order, OPERATOR)
    assert world.store.revocations.entries == []


async def test_a_token_bound_to_sites_takes_back_only_there() -> None:
    """Paths and URLs of its sites; a user or a key reaches beyond them."""
    world = World()
    revocations = world.plane.revocations
    await revocations.add(RevocationOrder(kind="path", value="shop:/shop/"), SHOP_ONLY)
    await revocations.add(RevocationOrder(url=signed("/shop/cat.jpg")), SHOP_ONLY)
    foreign = (
        RevocationOrder(kind="path", value="press:/press/"),
        RevocationOrder(url=f"https://press.example{signed('/press/cat.jpg', audience='press')}"),
        RevocationOrder(kind="user", value="alice"),
        RevocationOrder(kind="key", value="k1"),
    )
    for order in foreign:
        with pytest.raises(RoleMissing):
            await revocations.add(order, SHOP_ONLY)
    with pytest.raises(RoleMissing):
        await revocations.lift(LiftOrder(kind="user", value="alice"), SHOP_ONLY)
    with pytest.raises(RoleMissing):
        await revocations.page(SHOP_ONLY)
    with pytest.raises(RoleMissing):
        await revocations.take_in(chunks(b"{}"), SHOP_ONLY)
    assert len(world.store.revocations.entries) == 2


async def test_a_store_that_is_away_is_said_and_nothing_is_told_as_done() -> None:
    """No notice speaks of a revocation that nobody keeps."""
    world = World()
    world.store.trouble = "away"
    with pytest.raises(StoreUnavailable):
        await world.plane.revocations.add(RevocationOrder(kind="user", value="alice"), OPERATOR)
    assert world.ear.notices == []


async def test_the_list_is_read_page_by_page_and_by_name() -> None:
    """Every entry once, in its order; a search looks at one stretch a time and says whether there is more."""
    world = World()
    users = [f"user-{number}" for number in range(25)]
    for user in users:
        await world.plane.revocations.add(RevocationOrder(kind="user", value=user), OPERATOR)
    found, after, more = list[str](), "", True
    while more:
        page = await world.plane.revocations.page(OPERATOR, after=after, limit=10)
        found += [entry.value for entry in page.revocations]
        after, more = page.cursor, page.more
    assert found == users
    page = await world.plane.revocations.page(OPERATOR, limit=10, kind="user", value="user-12")
    assert (page.revocations, page.more) == ((), True)
    page = await world.plane.revocations.page(OPERATOR, after=page.cursor, limit=10, kind="user", value="user-12")
    assert [entry.value for entry in page.revocations] == ["user-12"]


async def test_what_is_exported_can_be_imported() -> None:
    """Lifted entries and dates included, whatever pieces the bytes come in."""
    first, second = World(), World()
    for number in range(3):
        await first.plane.revocations.add(
            RevocationOrder(kind="user", value=f"ü{number}", issued_before=5, reason="x"), OPERATOR
        )
    await first.plane.revocations.lift(LiftOrder(kind="user", value="ü1"), OPERATOR)
    exported = b"".join([chunk async for chunk in first.plane.revocations.export(OPERATOR)])
    pieces = [exported[start : start + 7] for start in range(0, len(exported), 7)]
    imported = await second.plane.revocations.take_in(chunks(*pieces), OPERATOR)
    assert imported.revocations == 4
    assert second.store.revocations.entries == first.store.revocations.entries
    assert second.kinds() == ["revocation.imported"]


async def test_an_import_goes_in_by_batches() -> None:
    """A long file costs neither the memory of all its lines nor one write a line."""
    world = World()
    line = msgspec.json.encode(Revocation(kind="user", value="alice", created=NOW)) + b"\n"
    imported = await world.plane.revocations.take_in(chunks(line * 2500), OPERATOR)
    assert imported.revocations == len(world.store.revocations.entries) == 2500
    assert len(world.ear.notices) == 3
    assert {purge.tags for purge in world.store.outbox.purges()} == {(tag("user", "alice"),)}


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b'{"kind":"user","value":"","created":1}', b"\xff", b"[1]"])
async def test_a_faulty_line_is_named(line: bytes) -> None:
    """With its number, and with what was added before it."""
    world = World()
    good = msgspec.json.encode(Revocation(kind="user", value="alice", created=NOW))
    with pytest.raises(OrderInvalid, match="Line 3"):
        await world.plane.revocations.take_in(chunks(good + b"\n\n" + line), OPERATOR)


async def test_a_line_without_end_costs_a_bounded_amount() -> None:
    """It is refused as soon as it is longer than any revocation."""
    with pytest.raises(OrderTooLarge):
        async for _ in _lines(chunks(*[b"x" * 1000] * 20)):
            pass


@given(
    lines=st.lists(st.binary(min_size=1, max_size=30).filter(lambda line: b"\n" not in line)), size=st.integers(1, 9)
)
async def test_lines_are_found_wherever_the_bytes_break(lines: list[bytes], size: int) -> None:
    """The same lines with the same numbers, however they arrive."""
    whole = b"\n".join(lines)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    found = [line async for line in _lines(chunks(*pieces))]
    assert found == [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


@given(url=st.text(max_size=60))
async def test_no_text_is_more_than_an_invalid_order(url: str) -> None:
    """Whatever the operator pastes, he gets a sentence."""
    world = World()
    with pytest.raises(CountermarkError):
        await world.plane.revocations.add(RevocationOrder(url=url), OPERATOR)
