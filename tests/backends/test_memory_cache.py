"""The cache in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from countermark.backends.caches.memory import OVERHEAD, MemoryCache
from countermark.core.picture import Rendition


def picture(size: int, mark: str = "") -> Rendition:
    return Rendition(body=bytes(size), content_type="image/jpeg", etag=mark, validator="", made=0.0)


def test_what_was_put_is_got_and_what_was_dropped_is_gone() -> None:
    """The plain promise of a cache."""
    cache = MemoryCache(10**6)
    kept = picture(10)
    cache.put(b"a", kept)
    assert cache.get(b"a") is kept
    assert cache.get(b"b") is None
    cache.drop(b"a")
    cache.drop(b"never there")
    assert cache.get(b"a") is None
    assert cache.weight == 0


def test_the_least_recently_used_goes_first() -> None:
    """A look counts as use."""
    cache = MemoryCache(3 * (OVERHEAD + 100))
    for key in (b"a", b"b", b"c"):
        cache.put(key, picture(100))
    assert cache.get(b"a") is not None
    cache.put(b"d", picture(100))
    assert [key for key in (b"a", b"b", b"c", b"d") if cache.get(key)] == [b"a", b"c", b"d"]


def test_what_cannot_fit_pushes_nothing_out_and_replaces_its_old_self() -> None:
    """A giant is not kept; and the older version under its key is not served instead."""
    cache = MemoryCache(10_000)
    cache.put(b"a", picture(10))
    cache.put(b"b", picture(10))
    cache.put(b"a", picture(20_000))
    assert cache.get(b"a") is None
    assert cache.get(b"b") is not None


def test_a_cache_of_nothing_keeps_nothing() -> None:
    """0 turns it off."""
    cache = MemoryCache(0)
    cache.put(b"a", picture(0))
    assert cache.get(b"a") is None


@given(st.lists(st.tuples(st.sampled_from("gpd"), st.integers(0, 8), st.integers(0, 3000)), max_size=60))
def test_the_weight_is_that_of_the_entries_and_never_beyond_the_limit(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens to it, in any order."""
    cache = MemoryCache(12_000)
    for step, number, size in steps:
        key = bytes([number])
        match step:
            case "g":
                cache.get(key)
            case "p":
                cache.put(key, picture(size))
            case _:
                cache.drop(key)
        kept = [rendition for number in range(9) if (rendition := cache._entries.get(bytes([number])))]
        assert cache.weight == sum(len(rendition.body) + OVERHEAD for rendition in kept) <= 12_000
        assert len(cache) == len(kept)
