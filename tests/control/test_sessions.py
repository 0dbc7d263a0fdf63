"""Sessions: the seed signs, a refreshed seed signs no more, a logged-out session is off, and everything is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from countermark.control.actor import Actor
from countermark.control.fronts import fronts_of
from countermark.control.revocations import RevocationOrder
from countermark.control.sessions import EndOrder, LoginOrder, RefreshOrder, SessionOpened
from countermark.core.encoding import read_base64url
from countermark.core.errors import (
    ConfigurationInvalid,
    Conflict,
    OrderInvalid,
    ResourceUnknown,
    RoleMissing,
    TransformRefused,
)
from countermark.core.grant import Claims
from countermark.identity.seeds import open_seed, session_key
from countermark.identity.surrogate import tag
from countermark.imaging.operations import Operations
from countermark.keys.keyring import Key, Keyring
from countermark.settings.load import load
from tests.control.world import KEY, NOW, OPERATOR, SEALING, SHOP_ONLY, World, signed

ALICE = LoginOrder(site="shop", user="alice", client_id="acme")


def client_key(opened: SessionOpened) -> Key:
    """The key as the client holds it: nothing but what it was told."""
    seed = read_base64url(opened.seed)
    assert seed is not None
    return Key(id=opened.key_id, dialect="native", algorithm="hmac-sha256", material=seed)


def small_only(claims: Claims, operations: Operations | None, preset: str) -> None:
    """A template that allows widths up to 400."""
    if operations is None or operations.width is None or operations.width > 400:
        raise TransformRefused("The policy small allows a width of 400 pixels at most.")


def anything(claims: Claims, operations: Operations | None, preset: str) -> None:
    """A template that allows everything."""


async def test_the_client_signs_with_the_seed_that_it_is_told() -> None:
    """What it signs proves itself by the sealed seed in the store."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    assert opened.key_id == f"ses_{opened.id}.1"
    assert opened.id.isalnum(), "operators give it to commands, where a hyphen begins an option"
    assert (opened.audience, opened.expires) == ("shop", int(NOW) + 3600)
    url = signed("/shop/cat.jpg", key=client_key(opened))
    assert (await world.plane.revocations.add(RevocationOrder(url=url), OPERATOR)).revocation.kind == "grant"


async def test_the_program_on_the_page_signs() -> None:
    """The lines of docs/sessions.md, run as they stand."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    page = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names = {"seed": opened.seed, "key_id": opened.key_id, "audience": opened.audience}
    exec(program, names)
    added = await world.plane.revocations.add(RevocationOrder(url=names["url"]), OPERATOR)
    assert added.revocation.kind == "grant"


async def test_the_store_holds_no_seed_in_the_clear() -> None:
    """A stolen database signs nothing; only the sealing key opens it."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    kept = world.store.sessions.kept[opened.id]
    seed = read_base64url(opened.seed)
    assert seed is not None
    assert seed not in kept.sealed
    assert session_key(kept, open_seed(Keyring([SEALING]), kept, now=NOW)).material == seed


async def test_a_notice_tells_of_each_change_and_never_the_seed() -> None:
    """Started, refreshed, revoked, ended, by whom and for whom."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    refreshed = await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=1), OPERATOR)
    await world.plane.sessions.logout(opened.id, OPERATOR)
    assert world.kinds() == [
        "session.started",
        "revocation.added",
        "session.refreshed",
        "revocation.added",
        "session.ended",
    ]
    assert {notice.actor for notice in world.ear.notices} == {"oncall"}
    assert {notice.severity for notice in world.ear.notices} == {"info"}
    told = repr(world.ear.notices)
    assert opened.seed not in told
    assert refreshed.seed not in told


async def test_a_refresh_gives_another_seed_and_takes_the_old_one_back() -> None:
    """The old key id is on the list before the new seed is told, and its URLs prove nothing any more."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    old = signed("/shop/cat.jpg", key=client_key(opened))
    refreshed = await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=1), OPERATOR)
    assert refreshed.key_id == f"ses_{opened.id}.2"
    assert refreshed.seed != opened.seed
    (entry,) = world.store.revocations.entries
    assert (entry.kind, entry.value) == ("key", opened.key_id)
    with pytest.raises(OrderInvalid, match="a refresh has replaced"):
        await world.plane.revocations.add(RevocationOrder(url=old), OPERATOR)


async def test_two_refreshes_of_one_generation_give_one_seed() -> None:
    """Compare-and-set: whoever comes second is told that he is."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=1), OPERATOR)
    with pytest.raises(Conflict, match="generation 2"):
        await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=1), OPERATOR)
    assert world.store.sessions.kept[opened.id].generation == 2


async def test_no_refresh_outlives_the_longest_life() -> None:
    """A session that is refreshed for ever ends all the same."""
    world = World()
    opened = await world.plane.sessions.login(replace(ALICE, life=86_400), OPERATOR)
    assert opened.expires == int(NOW) + 12 * 3600
    world.clock.now = NOW + 11.5 * 3600
    refreshed = await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=1), OPERATOR)
    assert refreshed.expires == int(NOW) + 12 * 3600
    world.clock.now = NOW + 12 * 3600 + 1
    with pytest.raises(Conflict, match="log in again"):
        await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=2), OPERATOR)


async def test_a_logout_revokes_the_session_and_purges_what_it_was_shown() -> None:
    """The entry outlives every URL of the session; a second logout finds it ended."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    await world.plane.sessions.logout(opened.id, OPERATOR)
    (entry,) = world.store.revocations.entries
    assert (entry.kind, entry.value) == ("session", opened.id)
    assert entry.expires is not None
    assert entry.expires > opened.expires
    assert {purge.tags for purge in world.store.outbox.purges()} == {(tag("session", opened.id),)}
    assert world.store.sessions.kept[opened.id].ended == NOW
    await world.plane.sessions.logout(opened.id, OPERATOR)
    with pytest.raises(Conflict):
        await world.plane.sessions.refresh(opened.id, RefreshOrder(generation=1), OPERATOR)


async def test_a_logout_wins_over_a_refresh_that_comes_in_between() -> None:
    """The mark is set on whatever generation there is by then."""
    world = World()
    opened = await world.plane.sessions.login(ALICE, OPERATOR)
    sessions = world.store.sessions
    read, stale = sessions.read, sessions.kept[opened.id]

    async def late(id: str) -> object:
        sessions.read = read  # type: ignore[method-assign]
        sessions.kept[id] = replace(stale, generation=2)
        return stale

    sessions.read = late  # type: ignore[method-assign, assignment]
    await world.plane.sessions.logout(opened.id, OPERATOR)
    assert (sessions.kept[opened.id].generation, sessions.kept[opened.id].ended) == (2, NOW)


async def test_all_sessions_of_a_user_end_at_once() -> None:
    """And nobody else's; an empty order ends nobody's."""
    world = World()
    mine = {(await world.plane.sessions.login(ALICE, OPERATOR)).id for _ in range(3)}
    other = await world.plane.sessions.login(replace(ALICE, user="bob"), OPERATOR)
    ended = await world.plane.sessions.end_all(EndOrder(user="alice"), OPERATOR)
    assert set(ended.sessions) == mine
    living = await world.plane.sessions.living(OPERATOR)
    assert [session.id for session in living.sessions] == [other.id]
    with pytest.raises(OrderInvalid):
        await world.plane.sessions.end_all(EndOrder(), OPERATOR)


async def test_what_the_client_will_sign_is_held_against_both_templates() -> None:
    """Side by side: what a change of template takes away is known before the client runs into it."""
    world = World(rules={"small": small_only, "any": anything})
    opened = await world.plane.sessions.login(replace(ALICE, template="any"), OPERATOR)
    order = RefreshOrder(
        generation=1,
        template="small",
        targets=(
            "/shop/cat.jpg?w=400",
            "/shop/cat.jpg?w=800",
            "/shop/cat.jpg?preset=card",
            "/shop/cat.jpg?w=x",
            "/shop/cat.jpg?w=400&uid=bob",
            "/shop/cat.jpg?w=400&sig=x",
            "/shop/cat.jpg?preset=nope",
            "/attic/../x",
        ),
    )
    refreshed = await world.plane.sessions.refresh(opened.id, order, OPERATOR)
    found = {comparison.target: (comparison.old, comparison.new) for comparison in refreshed.refused}
    assert list(found) == [order.targets[1], *order.targets[3:]]
    assert found["/shop/cat.jpg?w=800"] == (
        "allowed",
        "transform_refused: The policy small allows a width of 400 pixels at most.",
    )
    assert all(old == new for target, (old, new) in found.items() if target != "/shop/cat.jpg?w=800")
    assert world.store.sessions.kept[opened.id].template == "small"


async def test_a_session_needs_a_site_a_template_and_a_sealing_key_that_exist() -> None:
    """Each fault has its sentence, and no half session is left behind."""
    world = World()
    for order in (replace(ALICE, site="attic"), replace(ALICE, template="nope")):
        with pytest.raises(OrderInvalid):
            await world.plane.sessions.login(order, OPERATOR)
    assert world.store.sessions.kept == {}
    keyless = World(keys=(KEY,))
    with pytest.raises(ConfigurationInvalid, match="keys new --dialect session"):
        await keyless.plane.sessions.login(ALICE, OPERATOR)
    assert keyless.store.sessions.kept == {}


async def test_a_session_is_for_a_registered_client() -> None:
    """Where clients are registered, a name that is none of theirs would sign URLs that open nothing."""
    world = World(clients=frozenset({"acme"}))
    await world.plane.sessions.login(ALICE, OPERATOR)
    await world.plane.sessions.login(replace(ALICE, client_id=""), OPERATOR)
    with pytest.raises(OrderInvalid, match="No client is registered as 'ghost'"):
        await world.plane.sessions.login(replace(ALICE, client_id="ghost"), OPERATOR)


async def test_a_token_of_one_site_neither_opens_nor_finds_sessions_of_another() -> None:
    """It gets the same answer for a foreign session as for one that does not exist."""
    world = World()
    other = Actor(name="press-ci", sites=("press",))
    opened = await world.plane.sessions.login(ALICE, SHOP_ONLY)
    with pytest.raises(RoleMissing):
        await world.plane.sessions.login(ALICE, other)
    for id in (opened.id, "b" * 22):
        with pytest.raises(ResourceUnknown, match="No session has this id"):
            await world.plane.sessions.logout(id, other)
        with pytest.raises(ResourceUnknown, match="No session has this id"):
            await world.plane.sessions.refresh(id, RefreshOrder(generation=1), other)
    assert (await world.plane.sessions.living(other)).sessions == ()
    assert (await world.plane.sessions.end_all(EndOrder(user="alice"), other)).sessions == ()
    assert world.store.sessions.kept[opened.id].ended is None


async def test_the_plane_closes_its_store_when_its_last_user_has_gone() -> None:
    """A reload cuts off nobody who is in the middle of something."""
    world = World()
    with world.plane.in_use():
        assert not world.store.closed
    await world.plane.close()
    assert world.store.closed


def test_a_site_is_compared_by_its_own_policy() -> None:
    """A session that was made for no policy of its own has its site's."""
    settings = load(
        "policies: ./p\norigins: {o: {url: 'file:./o'}}\nsites: [{name: shop, origin: o, policy: render}]\n"
    )
    assert fronts_of(settings).named("shop").template == "render"
