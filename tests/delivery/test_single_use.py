"""A URL that opens once, from its token to the file that remembers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from msgspec.structs import replace

from countermark.core.answer import Answer
from countermark.core.errors import CountermarkError, StoreUnavailable, Used
from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.dialect import MintOrder
from countermark.signing.retail_digitals import RetailDigitals
from countermark.web.problems import answer_error
from tests.delivery.world import JPEG, START, World, field, whole
from tests.delivery.world import KEY as NATIVE
from tests.signing.scene import CLIENT, realm_with

EDGE = Key(id="rd1", dialect="retail_digitals", algorithm="hmac-sha256", material=b"e" * 32)
PATHS = {"retail_digitals": {"path": "/shop/{barcode}/{variant}"}}
REALM = realm_with("retail_digitals", options=PATHS)

MakeWorld = Callable[[Path], World]


@pytest.fixture
async def make_world() -> AsyncIterator[MakeWorld]:
    """Worlds with a store in this file, which end with their test."""
    worlds: list[World] = []

    def make(file: Path) -> World:
        world = World(realm=REALM, keys=(EDGE,), file=file)
        world.origin.put("17/front", JPEG)
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        await world.close()


@pytest.fixture
async def world(make_world: MakeWorld, tmp_path: Path) -> World:
    return make_world(tmp_path / "state" / "uses.db")


def url(name: str, target: str = "/shop/17/front?w=100") -> str:
    """A token of this name for this picture."""
    order = MintOrder(
        now=int(START),
        expires=int(START) + 900,
        address=ip_address(CLIENT),
        extras={"client_id": "c"},
        nonce=name.ljust(22, "0"),
    )
    return RetailDigitals().mint(parse_target(target), REALM, EDGE, order)


async def get(world: World, signed: str, method: str = "GET", **fields: str) -> Answer:
    return await world.get(signed, method=method, client=CLIENT, **fields)


@pytest.mark.parametrize("target", ["/shop/17/front?w=100", "/shop/17/front"])
async def test_a_second_use_is_refused(world: World, target: str) -> None:
    """410, by the vendor's word, whether a rendition or an original was sent; another token of it opens."""
    assert len(await whole(await get(world, url("one", target)))) > 0
    with pytest.raises(Used) as refused:
        await get(world, url("one", target))
    answer = answer_error(refused.value, instance="r", denials={"retail_digitals": RetailDigitals.denials})
    assert (refused.value.dialect, answer.status, field(answer, "Cache-Control")) == (
        "retail_digitals",
        410,
        "no-store",
    )
    assert (await get(world, url("two", target))).status == 200


async def test_no_cache_keeps_what_opens_once(world: World) -> None:
    """Neither a shared one nor the browser's, and the URL goes into no Referer."""
    answer = await get(world, url("one"))
    assert field(answer, "Cache-Control") == "private, no-store"
    assert field(answer, "Referrer-Policy") == "no-referrer"


async def test_looking_does_not_spend_it(world: World) -> None:
    """HEAD and 304, as often as one likes."""
    for _ in range(2):
        head = await get(world, url("one"), method="HEAD")
        same = await get(world, url("one"), if_none_match=field(head, "ETag"))
        assert (head.status, same.status) == (200, 304)
    assert await whole(await get(world, url("one"))) == b"100"
    # It tells nothing that a spent URL should not: the picture's size and tag were told before.
    assert (await get(world, url("one"), method="HEAD")).status == 200
    with pytest.raises(Used):
        await get(world, url("one"), if_none_match=field(head, "ETag"))


@pytest.mark.parametrize("chunks", [0, 1])
async def test_an_aborted_transfer_gives_it_back(world: World, chunks: int) -> None:
    """Before the first byte, or amid an original."""
    answer = await get(world, url("one", "/shop/17/front"))
    assert answer.stream is not None
    for _ in range(chunks):
        await anext(answer.stream)
    await answer.stream.aclose()
    assert await whole(await get(world, url("one", "/shop/17/front"))) == JPEG


async def test_a_picture_that_fails_gives_it_back(world: World) -> None:
    """The use was for a picture, and there was none."""
    del world.origin.objects["17/front"]
    with pytest.raises(CountermarkError) as refused:
        await get(world, url("one"))
    assert refused.value.reason == "original_missing"
    world.origin.put("17/front", JPEG)
    assert (await get(world, url("one"))).status == 200


async def test_a_range_of_all_is_a_whole_use(world: World) -> None:
    """Else a picture could be had in parts for ever."""
    answer = await get(world, url("one", "/shop/17/front"), range="bytes=0-")
    assert (answer.status, await whole(answer)) == (200, JPEG)
    with pytest.raises(Used):
        await get(world, url("one", "/shop/17/front"), range="bytes=0-")


async def test_of_two_who_come_at_once_one_is_served(make_world: MakeWorld, tmp_path: Path) -> None:
    """In one worker or in two."""
    worlds = [make_world(tmp_path / "uses.db") for _ in range(2)]
    asked = [get(world, url("one")) for world in worlds * 3]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    served = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(served) == 1
    assert all(isinstance(answer, Used) for answer in answers if answer is not served[0])
    await whole(served[0])


async def test_without_the_store_nothing_opens(make_world: MakeWorld, tmp_path: Path) -> None:
    """503, and nothing is fetched."""
    file = tmp_path / "file"
    file.write_text("no folder", encoding="utf-8")
    world = make_world(file / "uses.db")
    with pytest.raises(StoreUnavailable) as refused:
        await get(world, url("one"))
    answer = answer_error(refused.value, instance="r", denials={})
    assert (answer.status, bool(field(answer, "Retry-After"))) == (503, True)
    assert world.origin.opened == []


async def test_what_is_refused_anyway_costs_nothing(world: World) -> None:
    """Another client's knock does not spend the owner's use."""
    with pytest.raises(CountermarkError) as refused:
        await world.get(url("one"), client="198.51.100.1")
    assert refused.value.reason == "address_mismatch"
    assert (await get(world, url("one"))).status == 200


async def test_a_single_use_key_signs_one_grant(tmp_path: Path) -> None:
    """The first of its URLs that is opened spends it, for every other too, however long that would live."""
    key = replace(NATIVE, once=True)
    world = World(keys=(key,), file=tmp_path / "state" / "uses.db")
    try:
        world.origin.put("17/front", JPEG)
        first = world.sign("/shop/17/front?w=100", key=key)
        other = world.sign("/shop/17/front?w=200", key=key, life=9000)
        assert len(await whole(await world.get(first))) > 0
        for signed in (first, other):
            with pytest.raises(Used):
                await world.get(signed)
    finally:
        await world.close()
