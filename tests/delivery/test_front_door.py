"""The data plane in a small world: what is fetched, rendered, kept and said."""

from __future__ import annotations

import asyncio

import pytest

from countermark.core.errors import OriginalMissing, Overloaded, RangeNotSatisfiable
from countermark.core.target import parse_target
from countermark.imaging.operations import Mark
from countermark.keys.keyring import Key
from countermark.signing.dialect import MintOrder
from countermark.signing.ogimage import OGImage
from countermark.signing.table import DIALECTS
from tests.delivery.conftest import MakeWorld
from tests.delivery.world import JPEG, START, World, field, whole
from tests.signing.scene import realm_with


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return make_world()


async def test_a_picture_is_made_once_and_then_kept(world: World) -> None:
    """The second request, though signed anew, costs neither fetch nor render."""
    first = await world.get(world.sign("/shop/cat.jpg?w=100"))
    assert (first.status, first.body, world.event.cache) == (200, b"100", "miss")
    second = await world.get(world.sign("/shop/cat.jpg?w=100", life=7100))
    assert (second.body, world.event.cache) == (b"100", "hit")
    assert (len(world.origin.opened), len(world.renderer.recipes)) == (1, 1)


async def test_a_hundred_at_once_are_one_fetch_and_one_render(world: World) -> None:
    """They wait for the first."""
    world.origin.gate.clear()
    signed = world.sign("/shop/cat.jpg?w=100")
    requests = [asyncio.create_task(world.get(signed)) for _ in range(100)]
    while not world.origin.opened:
        await asyncio.sleep(0)
    world.origin.gate.set()
    answers = await asyncio.gather(*requests)
    assert {answer.body for answer in answers} == {b"100"}
    assert (len(world.origin.opened), len(world.renderer.recipes)) == (1, 1)


async def test_in_a_crowd_only_what_would_have_to_be_rendered_is_refused(make_world: MakeWorld) -> None:
    """What is kept, what is being made already and what is not rendered at all comes through; no original is fetched."""
    world = make_world(revalidate=60.0)
    assert (await world.get(world.sign("/shop/cat.jpg?w=100"))).body == b"100"
    world.origin.gate.clear()
    first = asyncio.create_task(world.get(world.sign("/shop/cat.jpg?w=200")))
    while len(world.origin.opened) < 2:
        await asyncio.sleep(0)
    world.renderer.crowded = True
    second = asyncio.create_task(world.get(world.sign("/shop/cat.jpg?w=200", life=7100)))
    with pytest.raises(Overloaded):
        await world.get(world.sign("/shop/cat.jpg?w=300"))
    assert len(world.origin.opened) == 2
    world.origin.gate.set()
    assert [answer.body for answer in await asyncio.gather(first, second)] == [b"200", b"200"]
    world.now += 61
    assert (await world.get(world.sign("/shop/cat.jpg?w=100"))).body == b"100"
    assert world.event.cache == "revalidated"
    assert (await whole(await world.get(world.sign("/shop/cat.jpg")))) == JPEG


async def test_those_who_wait_share_the_error(world: World) -> None:
    """A missing original is asked for once, and everybody hears it."""
    world.origin.gate.clear()
    signed = world.sign("/shop/dog.jpg?w=100")
    requests = [asyncio.create_task(world.get(signed)) for _ in range(10)]
    while not world.origin.opened:
        await asyncio.sleep(0)
    world.origin.gate.set()
    results = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(result, OriginalMissing) for result in results)
    assert len(world.origin.opened) == 1


async def test_a_leader_that_goes_away_is_replaced(world: World) -> None:
    """Its client hung up; those who wait get their picture all the same."""
    world.origin.gate.clear()
    signed = world.sign("/shop/cat.jpg?w=100")
    leader = asyncio.create_task(world.get(signed))
    while not world.origin.opened:
        await asyncio.sleep(0)
    follower = asyncio.create_task(world.get(signed))
    await asyncio.sleep(0)
    leader.cancel()
    world.origin.gate.set()
    assert (await follower).body == b"100"


async def test_not_modified_is_known_before_any_work(world: World, make_world: MakeWorld) -> None:
    """A tag from an earlier life of the gateway is answered from the origin's facts alone."""
    etag = field(await world.get(world.sign("/shop/cat.jpg?w=100")), "ETag")
    fresh = make_world()
    answer = await fresh.get(fresh.sign("/shop/cat.jpg?w=100"), if_none_match=etag)
    assert (answer.status, answer.body, field(answer, "ETag")) == (304, b"", etag)
    assert (fresh.origin.asked, fresh.origin.opened, fresh.renderer.recipes) == (["cat.jpg"], [], [])


async def test_another_version_has_another_tag(world: World) -> None:
    """And is made anew once the kept one is no longer fresh."""
    signed = world.sign("/shop/cat.jpg?w=100")
    before = field(await world.get(signed), "ETag")
    world.origin.put("cat.jpg", JPEG, version="2")
    assert field(await world.get(signed), "ETag") == before
    world.now += 61
    assert field(await world.get(signed), "ETag") != before
    assert len(world.renderer.recipes) == 2


async def test_an_unchanged_original_makes_a_kept_picture_fresh_again(world: World) -> None:
    """One question to the origin, no fetch, no render; then it is fresh for another while."""
    signed = world.sign("/shop/cat.jpg?w=100")
    await world.get(signed)
    world.now += 61
    await world.get(signed)
    assert world.event.cache == "revalidated"
    await world.get(signed)
    assert world.event.cache == "hit"
    assert (world.origin.asked, len(world.origin.opened)) == (["cat.jpg"], 1)


async def test_an_origin_that_is_away_takes_nothing_away(world: World) -> None:
    """What is kept is served; what is not cannot be."""
    signed = world.sign("/shop/cat.jpg?w=100")
    await world.get(signed)
    world.now += 61
    world.origin.away = True
    assert (await world.get(signed)).status == 200
    assert world.event.cache == "stale"
    assert await world.reason(world.sign("/shop/cat.jpg?w=101")) == "origin_unreachable"


async def test_a_deleted_original_is_gone_from_the_caches_too(world: World) -> None:
    """A picture that was taken down must not live on here."""
    signed = world.sign("/shop/cat.jpg?w=100")
    await world.get(signed)
    del world.origin.objects["cat.jpg"]
    world.now += 61
    assert await world.reason(signed) == "original_missing"
    world.now -= 61
    assert await world.reason(signed) == "original_missing"


async def test_without_operations_the_original_passes_untouched(world: World) -> None:
    """Its type is what is really there; nothing is rendered."""
    answer = await world.get(world.sign("/shop/cat.jpg"))
    assert (answer.body, field(answer, "Content-Type")) == (JPEG, "image/jpeg")
    assert world.renderer.recipes == []


async def test_a_site_with_a_watermark_never_shows_an_original(make_world: MakeWorld) -> None:
    """Leaving the operations out does not leave the mark out."""
    world = make_world(mark=Mark(name="brand"))
    await world.get(world.sign("/shop/cat.jpg"))
    assert [recipe.mark for recipe in world.renderer.recipes] == [Mark(name="brand")]


async def test_what_is_no_picture_does_not_pass(world: World) -> None:
    """A page under a picture's name would run in the site's own origin."""
    world.origin.put("page.jpg", b"<html><script>alert(1)</script>" + b" " * 100)
    world.origin.put("empty.jpg", b"")
    assert await world.reason(world.sign("/shop/page.jpg")) == "picture_unsupported"
    assert await world.reason(world.sign("/shop/page.jpg?w=1")) == "picture_unsupported"
    assert await world.reason(world.sign("/shop/empty.jpg")) == "picture_broken"
    assert await world.reason(world.sign("/shop/empty.jpg?w=1")) == "picture_broken"


async def test_a_large_original_is_streamed_and_not_kept(make_world: MakeWorld) -> None:
    """Its length is told, its bytes are never held together."""
    world = make_world(max_entry=500)
    for opened in (1, 2):
        answer = await world.get(world.sign("/shop/cat.jpg"))
        assert (answer.length, await whole(answer), world.event.cache) == (1000, JPEG, "bypass")
        assert len(world.origin.opened) == opened


async def test_many_may_stream_one_large_original_at_once(make_world: MakeWorld) -> None:
    """Whoever followed the first one streams for himself."""
    world = make_world(max_entry=500)
    world.origin.gate.clear()
    signed = world.sign("/shop/cat.jpg")
    requests = [asyncio.create_task(world.get(signed)) for _ in range(10)]
    while not world.origin.opened:
        await asyncio.sleep(0)
    world.origin.gate.set()
    assert {await whole(answer) for answer in await asyncio.gather(*requests)} == {JPEG}


@pytest.mark.parametrize("max_entry", [500, 10_000])
async def test_a_range_is_a_part_of_the_whole(make_world: MakeWorld, max_entry: int) -> None:
    """Whether the picture is kept or streamed."""
    world = make_world(max_entry=max_entry)
    signed = world.sign("/shop/cat.jpg")
    for _ in range(2):
        answer = await world.get(signed, range="bytes=100-299")
        assert (answer.status, answer.length, field(answer, "Content-Range")) == (206, 200, "bytes 100-299/1000")
        assert await whole(answer) == JPEG[100:300]
        with pytest.raises(RangeNotSatisfiable):
            await world.get(signed, range="bytes=1000-")


async def test_an_original_that_is_too_large_is_not_rendered(world: World) -> None:
    """It is refused by its announced size."""
    world.origin.put("big.jpg", JPEG * 6)
    assert await world.reason(world.sign("/shop/big.jpg?w=1")) == "picture_too_large"


async def test_freshness_never_outlives_the_signature(world: World) -> None:
    """The site says an hour; a URL with a minute left is fresh for less than that minute."""
    signed = world.sign("/shop/cat.jpg?w=100", life=60)
    assert field(await world.get(signed), "Cache-Control") == "public, max-age=59, must-revalidate"
    world.now += 59
    assert field(await world.get(signed), "Cache-Control") == "private, no-store"
    assert field(await world.get(world.sign("/shop/cat.jpg?w=100")), "Cache-Control").startswith("public, max-age=3600")


async def test_a_proven_url_still_expires(world: World) -> None:
    """What was proven is remembered; what depends on the moment is looked at each time."""
    signed = world.sign("/shop/cat.jpg?w=100", life=60)
    await world.get(signed)
    world.now += 61
    assert await world.reason(signed) == "expired"


async def test_an_answer_for_one_address_is_private(world: World) -> None:
    """A shared cache would show it to others."""
    signed = world.sign("/shop/cat.jpg?w=100", address="192.0.2.1")
    assert field(await world.get(signed), "Cache-Control").startswith("private")
    assert await world.reason(signed, client="192.0.2.2") == "address_mismatch"


async def test_vary_stands_only_where_the_answer_depends_on_it(world: World) -> None:
    """A Vary too many costs hits; one too few shows AVIF to those who cannot read it."""
    assert field(await world.get(world.sign("/shop/cat.jpg?w=100&fm=webp")), "Vary") == ""
    assert field(await world.get(world.sign("/shop/cat.jpg?w=100&fm=auto")), "Vary") == "Accept"
    await world.get(world.sign("/shop/cat.jpg?w=100&fm=auto"), accept="image/avif")
    assert [recipe.accepts for recipe in world.renderer.recipes] == [(), (), ("avif",)]


async def test_every_picture_is_data_and_nothing_else(world: World) -> None:
    """nosniff and its friends, on 200 and on 304."""
    signed = world.sign("/shop/cat.jpg?w=100")
    answer = await world.get(signed)
    again = await world.get(signed, if_none_match=field(answer, "ETag"))
    assert again.status == 304
    for name in ("X-Content-Type-Options", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "ETag"):
        assert field(answer, name) == field(again, name) != ""


async def test_a_path_outside_every_site_is_nobody_s(world: World) -> None:
    """Signed or not."""
    assert await world.reason("/elsewhere/cat.jpg") == "site_unknown"


@pytest.mark.parametrize(("life", "expected"), [(0, "public, max-age=599"), (86_400, "public, max-age=86400")])
async def test_caches_keep_for_longer_only_where_the_site_says_so(
    make_world: MakeWorld, life: int, expected: str
) -> None:
    """A cache life apart from the URL's is an unsafe option of its dialect."""
    account = Key(id="og1", dialect="ogimage", algorithm="hmac-sha256", material=b"a" * 32)
    where = realm_with("ogimage", options={"ogimage": {"unsafe_cache_life": life}})
    world = make_world(realm=where, keys=(account,))
    order = MintOrder(now=int(START), expires=int(START) + 600)
    signed = OGImage().mint(parse_target("/shop/cat.jpg?w=100"), where, account, order)
    assert field(await world.get(signed), "Cache-Control") == f"{expected}, must-revalidate"


async def test_a_signature_in_the_path_is_not_told_on(make_world: MakeWorld) -> None:
    """Whoever reads the log cannot ask with what stands there; answered or refused."""
    key = Key(id="i", dialect="imgproxy", algorithm="hmac-sha256", material=b"i" * 32, salt=b"salt")
    where = realm_with("imgproxy", prefix="/shop/", sources=("local:///",))
    order = MintOrder(now=int(START), expires=int(START) + 600)
    target = parse_target("/shop/rs:fit:100:100/bG9jYWw6Ly8vY2F0LmpwZw")
    signed = DIALECTS["imgproxy"].mint(target, where, key, order)
    for later, reason in ((0, ""), (601, "expired")):
        world = make_world(realm=where, keys=(key,))
        world.now += later
        assert await world.reason(signed) == reason
        assert world.event.audit.path == "/exp:1700000600/rs:fit:100:100/bG9jYWw6Ly8vY2F0LmpwZw"


async def test_a_bearer_tokens_answer_is_its_holders(make_world: MakeWorld) -> None:
    """What a header opened stays shut without it, and no shared cache keeps it."""
    token = Key(id="t", dialect="pixel_fiddler", algorithm="bearer", material=b"t" * 40)
    where = realm_with("pixel_fiddler", options={"pixel_fiddler": {"level": "signature-or-token"}})
    world = make_world(realm=where, keys=(token,))
    answer = await world.get("/shop/cat.jpg?w=100", authorization=f"Bearer {'t' * 40}")
    assert (answer.body, field(answer, "Cache-Control")) == (b"100", "private, max-age=3600, must-revalidate")
    assert await world.reason("/shop/cat.jpg?w=100") == "signature_missing"
    assert await world.reason("/shop/cat.jpg?w=100", authorization=f"Bearer {'u' * 40}") == "signature_invalid"
