"""What every kind of origin promises, checked against real stores."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from countermark.backends.origins.table import open_origin
from countermark.core.errors import OriginalMissing, PictureTooLarge
from countermark.ports import ByteRange, Origin
from countermark.render.parcel import Budget, MemoryParcel
from tests.backends.stores import Store
from tests.backends.waiting import descriptors, eventually, resident

LARGE = 64 * 2**20


async def read(origin: Origin, key: str, byte_range: ByteRange | None = None) -> bytes:
    async with origin.open(key, byte_range) as body:
        return b"".join([chunk async for chunk in body.chunks()])


async def test_an_object_is_read_whole(store: Store, origin: Origin) -> None:
    """The bytes and their number are those that were stored."""
    content = bytes(range(256)) * 5000
    store.put("album/cat.jpg", content)
    async with origin.open("album/cat.jpg") as body:
        assert body.facts.size == len(content)
        assert b"".join([chunk async for chunk in body.chunks()]) == content


@pytest.mark.parametrize("size", [0, 1, 60_000, 2**17, 3_000_001])
async def test_an_object_is_poured_whole(store: Store, origin: Origin, size: int) -> None:
    """What arrives in a parcel is what the origin has, whichever way it took."""
    sent = os.urandom(size)
    store.put("a.jpg", sent)
    parcel = MemoryParcel(Budget(10**7), 10**7)
    try:
        async with origin.open("a.jpg") as body:
            await body.pour(parcel)
        assert parcel.head(size + 1) == sent
        assert parcel.size == size
    finally:
        parcel.close()


async def test_stat_says_what_open_says(store: Store, origin: Origin) -> None:
    """Facts come without the body and are those of the body."""
    store.put("cat.jpg", b"meow")
    facts = await origin.stat("cat.jpg")
    async with origin.open("cat.jpg") as body:
        assert body.facts == facts
    assert facts.size == 4
    assert facts.etag.startswith('"')
    assert facts.modified is not None


async def test_a_missing_object_is_missing(origin: Origin) -> None:
    """Neither stat nor open finds what is not there."""
    with pytest.raises(OriginalMissing):
        await origin.stat("no/such.jpg")
    with pytest.raises(OriginalMissing):
        await read(origin, "no/such.jpg")


@pytest.mark.parametrize(
    "key", ["", "../secret.jpg", "a/../../secret.jpg", "a//b.jpg", "a/", "./a", "a\0.jpg", "\ud800"]
)
async def test_no_key_leaves_its_folder(origin: Origin, key: str) -> None:
    """A key that would climb out, list a folder or cut a path names no object."""
    with pytest.raises(OriginalMissing):
        await read(origin, key)
    with pytest.raises(OriginalMissing):
        await origin.stat(key)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 9), (3, 7), (9, 9)])
async def test_a_range_is_exactly_that_range(store: Store, origin: Origin, first: int, last: int) -> None:
    """Both ends are inclusive, and the facts still name the whole object's size."""
    store.put("digits", b"0123456789")
    async with origin.open("digits", ByteRange(first, last)) as body:
        assert body.facts.size == 10
        assert b"".join([chunk async for chunk in body.chunks()]) == b"0123456789"[first : last + 1]


async def test_a_range_across_chunks_is_whole(store: Store, origin: Origin) -> None:
    """A long range does not lose or repeat a byte where chunks meet."""
    content = b"".join(number.to_bytes(4, "big") for number in range(700_000))
    store.put("long", content)
    assert await read(origin, "long", ByteRange(1_000_001, 2_500_002)) == content[1_000_001:2_500_003]


async def test_an_empty_object_is_empty(store: Store, origin: Origin) -> None:
    """No bytes are an object too."""
    store.put("empty", b"")
    assert (await origin.stat("empty")).size == 0
    assert await read(origin, "empty") == b""


async def test_the_validator_changes_with_the_object(store: Store, origin: Origin) -> None:
    """Another content of the same length under the same name has another validator; the same has the same."""
    store.put("cat.jpg", b"one")
    before = (await origin.stat("cat.jpg")).validator
    assert (await origin.stat("cat.jpg")).validator == before
    store.put("cat.jpg", b"two")
    assert (await origin.stat("cat.jpg")).validator != before


@pytest.mark.parametrize(
    "key",
    ["a b.jpg", "ü/ñ-猫.jpg", "100%.jpg", "%41.jpg", "a+b.jpg", "what?.jpg", "x#y.jpg", "a&b=c;d.jpg", "~[x]'\".jpg"],
)
async def test_a_key_is_text_not_syntax(store: Store, origin: Origin, key: str) -> None:
    """Spaces, letters of any script and the signs of URLs are ordinary characters of a key."""
    store.put(key, key.encode())
    assert await read(origin, key) == key.encode()
    assert (await origin.stat(key)).size == len(key.encode())


async def test_an_object_beyond_the_cap_is_refused(store: Store) -> None:
    """The cap holds for stat, open and ranges alike."""
    store.put("big", bytes(2000))
    store.put("fits", bytes(1000))
    origin = await open_origin("photos", replace(store.settings, max_bytes=1000, max_stream_bytes=1000))
    try:
        assert len(await read(origin, "fits")) == 1000
        for attempt in (origin.stat("big"), read(origin, "big"), read(origin, "big", ByteRange(0, 10))):
            with pytest.raises(PictureTooLarge):
                await attempt
    finally:
        await origin.close()


async def test_a_large_object_streams_in_little_memory(store: Store, origin: Origin) -> None:
    """64 MB pass through while the process grows by less than half of that."""
    store.put("large", bytes(LARGE))
    await read(origin, "large", ByteRange(0, 2**22))  # buffers and threads exist now
    before = highest = resident()
    length = 0
    async with origin.open("large") as body:
        async for chunk in body.chunks():
            length += len(chunk)
            highest = max(highest, resident())
    assert length == LARGE
    assert highest - before < LARGE // 2


async def test_leaving_early_frees_the_transfer(store: Store, origin: Origin) -> None:
    """Twenty abandoned transfers leave no descriptors behind, and the origin still serves."""
    store.put("large", bytes(8 * 2**20))
    store.put("small", b"small")
    await read(origin, "small")
    before = descriptors()
    for _ in range(20):
        async with origin.open("large") as body:
            assert await anext(body.chunks())
    await eventually(lambda: descriptors() <= before + 4)
    assert await read(origin, "small") == b"small"
