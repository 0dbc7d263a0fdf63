"""The comparison tells every widening and no other."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.policy.diff import compare, compare_sets
from countermark.policy.model import Situation
from countermark.policy.trial import attempt

from .drafts import template

some = st.sampled_from


def lists(*words: str, most: int = 3) -> st.SearchStrategy[list[str]]:
    """Some of the words, without repetition."""
    return st.lists(some(words), max_size=most, unique=True)


def keys(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section with any of these keys."""
    return st.fixed_dictionaries({}, optional=strategies)


RATE = st.builds(lambda count, burst: {"requests": count, "burst": burst}, some([60, 120]), some([0, 5, 7]))
DRAFTS = keys(
    require=lists("user", "session", "jti", "geo", "address", "once", "issued", "transform_hash"),
    contexts=lists("spring", "summer"),
    refuse_weak=lists("md5", "sha1"),
    uses=some(["once", "many"]),
    expires=keys(ttl=some(["60s", "90s", "0"]), session_end=st.booleans()),
    transforms=keys(
        presets=lists("card", "hero"),
        max_width=some([0, 100, 200]),
        max_height=some([0, 100]),
        max_dpr=some([2, 3]),
        max_quality=some([80, 90]),
        formats=lists("source", "webp", "png"),
        forbid=lists("original", "blur", "dpr", "fit", "gravity", "animated"),
    ),
    ceiling=keys(client=RATE, address=RATE, template=RATE),
    geo=keys(allow=lists("DE", "US", "US-CA"), deny=lists("DE", "US-CA", "US-NY"), unknown=some(["allow", "deny"])),
    network=keys(
        allow=lists("10.0.0.0/8", "10.128.0.0/9", "2001:db8::/32"),
        deny=lists("10.0.0.0/9", "10.200.0.0/16"),
        bind=some(["none", "exact", "prefix"]),
        bind_ipv4=some([16, 24]),
    ),
)
REQUESTS = st.builds(
    Situation,
    signs=lists("user", "session", "jti", "once", "issued", "transform_hash", most=6).map(tuple),
    preset=some(["", "card", "hero", "other"]),
    context=some(["", "spring", "summer", "autumn"]),
    operations=st.builds(
        lambda *parts: "&".join(filter(None, parts)),
        some(["", "w=1", "w=100", "w=150", "w=300"]),
        some(["", "h=1", "h=150"]),
        some(["", "dpr=2", "dpr=2.5"]),
        some(["", "fm=webp", "fm=png"]),
        some(["", "q=85"]),
        some(["", "blur=2", "anim=0", "fit=cover&g=north"]),
    ),
    weak=lists("md5", "sha1").map(tuple),
    life=some([30.0, 60.0, 75.0, "never"]),
    country=some(["", "DE", "US", "FR"]),
    region=some(["", "CA", "NY"]),
    client_address=some(["10.1.0.1", "10.200.0.1", "10.255.0.1", "203.0.113.7", "2001:db8::1"]),
    nth=some([1, 6, 8, 61]),
    same=lists("client", "address").map(tuple),
)


def signed(request: Situation, network: int, geo: bool) -> Situation:
    """The request, signed for its own place."""
    length = min(network, 32 if "." in request.client_address else 128)
    address = str(ip_network((request.client_address, length), strict=False)) if network else ""
    return replace(request, address=address, geo=(request.country,) if geo and request.country else ())


@given(DRAFTS, DRAFTS, st.lists(REQUESTS, min_size=5, max_size=20), some([0, 12, 20, 24, 32, 128]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_whatever_is_let_in_anew_is_told(
    before: dict[str, Any], after: dict[str, Any], requests: list[Situation], network: int, geo: bool
) -> None:
    """Of any two templates and any request: if the new one lets it in and the old one does not, something is widened."""
    old, new = template(**before), template(**after)
    difference = compare(old, new)
    for request in (signed(request, network, geo) for request in requests):
        taken = [not attempt(one, request).reason for one in (old, new)]
        if taken == [False, True]:
            assert difference.widened, request
        if taken == [True, False]:
            assert difference.narrowed, request


@given(DRAFTS, DRAFTS)
@settings(max_examples=40, deadline=None)
def test_what_is_told_is_so(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The request that a change shows is refused by the one side and let in by the other."""
    old, new = template(**before), template(**after)
    difference = compare(old, new)
    for changes, open_one, closed_one in ((difference.widened, new, old), (difference.narrowed, old, new)):
        for change in changes:
            assert attempt(open_one, change.request).reason == ""
            assert attempt(closed_one, change.request) == change.outcome


def test_a_new_template_widens_nothing_by_itself() -> None:
    """A site or a session must name it first; one that is removed is told, too."""
    one = template()
    (added,) = compare_sets({}, {"draft": one})
    (removed,) = compare_sets({"draft": one}, {})
    assert not added.widened
    assert "new" in added.notes[0]
    assert "removed" in removed.notes[0]


def test_many_networks_are_compared_by_their_edges() -> None:
    """Ten thousand networks and one more: the one is found."""
    many = "\n".join(f"10.{number // 256}.{number % 256}.0/25" for number in range(10_000))
    old, new = (template({"all.txt": text}, network={"allow": ["all.txt"]}) for text in (many, f"{many}\n192.0.2.0/24"))
    (change,) = compare(old, new).widened
    assert change.what == ("from 192.0.2.0 on",)


def test_one_opened_network_is_not_hidden_by_many_closed_ones() -> None:
    """However many changes there are of the other kind."""
    closed = [f"10.{number // 128}.{number % 128 * 2}.0/24" for number in range(1_000)]
    old = template(network={"allow": [*closed, "203.0.113.0/24"]})
    new = template(network={"allow": ["192.0.2.0/24", "203.0.113.0/24"]})
    difference = compare(old, new)
    assert [change.what for change in difference.widened] == [("from 192.0.2.0 on",)]
    assert difference.narrowed
