"""Who may come in though his URL is genuine: revocation, sessions, clients, networks, policy, ceilings, and what is done
about those who may not."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from countermark.core.audit import UNRULED
from countermark.core.catalogue import Catalogue
from countermark.core.errors import AddressBlocked, CountermarkError, RateLimited
from countermark.core.networks import NetworkSet
from countermark.core.tasks import read_notice, read_purge
from countermark.delivery.sentry import Watch
from countermark.identity.client import Client, Scope
from countermark.identity.session import Session
from countermark.identity.surrogate import tag
from countermark.keys.keyring import Key
from countermark.policy.load import load_templates
from countermark.policy.template import Template
from tests.delivery.conftest import MakeWorld
from tests.delivery.world import JPEG, START, field, whole

ID = "session-of-anna-0001"
SEED = b"s" * 32


def template(text: str) -> Template:
    return load_templates({"render.yaml": f"template: render\n{text}"})["render"]


def session(**changes: Any) -> Session:
    facts = {
        "site": "shop",
        "generation": 1,
        "user": "anna",
        "client_id": "acme",
        "template": "",
        "expires": int(START) + 600,
    }
    return Session(id=ID, sealed=SEED, created=START, **{**facts, **changes})


def seed(generation: int = 1) -> Key:
    """What the client signs with."""
    return Key(id=f"ses_{ID}.{generation}", dialect="native", algorithm="hmac-sha256", material=SEED)


async def test_a_revoked_url_is_gone_at_once_though_it_was_remembered(make_world: MakeWorld) -> None:
    """And others of the same key stay open."""
    world = make_world()
    bad, good = world.sign("/shop/cat.jpg", jti="leaked-one"), world.sign("/shop/cat.jpg", jti="another-one")
    assert (await world.get(bad)).status == 200
    world.revocations.revoke("jti", "leaked-one")
    assert await world.reason(bad) == "revoked"
    assert await world.reason(good) == ""


async def test_the_list_is_asked_again_only_when_it_has_changed(make_world: MakeWorld) -> None:
    """A hundred hits cost one look."""
    world = make_world()
    signed = world.sign("/shop/cat.jpg")
    for _ in range(100):
        await world.get(signed)
    assert world.revocations.asked == 1
    world.revocations.revoke("user", "somebody else")
    await world.get(signed)
    assert world.revocations.asked == 2


@pytest.mark.parametrize(("serve_stale", "reason"), [(False, "store_unavailable"), (True, "")])
async def test_a_list_that_may_be_behind_opens_nothing_unless_told_so(
    make_world: MakeWorld, serve_stale: bool, reason: str
) -> None:
    """Fails closed by default, remembered URLs too."""
    world = make_world(serve_stale=serve_stale)
    signed = world.sign("/shop/cat.jpg")
    assert await world.reason(signed) == ""
    world.revocations.stale = "nothing was heard for 3 s"
    assert await world.reason(signed) == reason


async def test_a_list_that_was_never_read_opens_nothing_whatever_is_set(make_world: MakeWorld) -> None:
    """A worker that starts while the store is away would else open what was revoked long ago."""
    world = make_world(serve_stale=True)
    world.revocations.version, world.revocations.stale = 0, "not loaded yet"
    assert await world.reason(world.sign("/shop/cat.jpg")) == "store_unavailable"


async def test_a_client_signs_with_the_seed_of_its_session(make_world: MakeWorld) -> None:
    """Session, user and client come from the session; no shared cache keeps the answer, and none beyond its end."""
    world = make_world(template=template("audit: {detail: full}\n"))
    await world.store.sessions.create(session())
    signed = world.sign("/shop/cat.jpg", life=300, key=seed())
    answer = await world.get(signed)
    assert answer.status == 200
    assert field(answer, "Cache-Control") == "private, max-age=299, must-revalidate"
    assert (world.event.audit.client_id, world.event.key_id) == ("acme", f"ses_{ID}.1")
    world.now += 590
    assert await world.reason(world.sign("/shop/cat.jpg", life=30, key=seed())) == ""
    world.now += 11
    assert await world.reason(world.sign("/shop/cat.jpg", life=30, key=seed())) == "key_inactive"


async def test_the_seed_of_a_session_opens_its_own_site_alone(make_world: MakeWorld) -> None:
    """A session for another site is nobody here."""
    world = make_world()
    await world.store.sessions.create(session(site="blog"))
    assert await world.reason(world.sign("/shop/cat.jpg", life=300, key=seed())) == "signature_invalid"


@pytest.mark.parametrize("fact", [{"uid": "berta"}, {"cid": "other"}, {"sid": "x" * 20}])
async def test_a_client_cannot_sign_for_somebody_else(make_world: MakeWorld, fact: dict[str, str]) -> None:
    """The seed is in his hands, so what he writes about himself is compared."""
    world = make_world()
    await world.store.sessions.create(session())
    assert await world.reason(world.sign("/shop/cat.jpg", life=300, key=seed(), **fact)) in ("element_missing",)


async def test_an_old_generation_signs_nothing(make_world: MakeWorld) -> None:
    """Neither where it was never met, nor (by the list) where it was."""
    world = make_world()
    await world.store.sessions.create(session())
    old = world.sign("/shop/cat.jpg", life=300, key=seed())
    assert await world.reason(old) == ""
    await world.store.sessions.replace(session(generation=2), generation=1)
    world.revocations.revoke("key", f"ses_{ID}.1")
    assert await world.reason(old) == "revoked"
    assert await world.reason(world.sign("/shop/cat.jpg", life=300, key=seed(2))) == ""
    fresh = make_world(file=None)
    await fresh.store.sessions.create(session(generation=2))
    assert await fresh.reason(fresh.sign("/shop/cat.jpg", key=seed())) == "signature_invalid"


async def test_a_url_of_the_server_lives_no_longer_than_the_session_that_it_names(make_world: MakeWorld) -> None:
    """Nor does one for a session that nobody knows."""
    world = make_world()
    await world.store.sessions.create(session())
    signed = world.sign("/shop/cat.jpg", sid=ID)
    assert await world.reason(signed) == ""
    assert await world.reason(world.sign("/shop/cat.jpg", sid="u" * 20)) == "session_ended"
    world.now += 601
    assert await world.reason(signed) == "session_ended"


async def test_a_url_of_the_server_follows_its_session_through_a_refresh(make_world: MakeWorld) -> None:
    """Its new end counts for a URL that is remembered, also where somebody asks amid the refresh."""
    world = make_world()
    await world.store.sessions.create(session())
    signed = world.sign("/shop/cat.jpg", sid=ID)
    assert await world.reason(signed) == ""
    world.revocations.revoke("key", f"ses_{ID}.1")
    assert await world.reason(signed) == ""
    await world.store.sessions.replace(session(generation=2, expires=int(START) + 100), generation=1)
    assert await world.reason(signed) == ""
    world.now += 101
    assert await world.reason(signed) == "session_ended"


@pytest.mark.parametrize("asked_meanwhile", [False, True])
@pytest.mark.parametrize("signer", ["client", "server"])
async def test_a_session_that_has_ended_stays_so_when_its_revocation_is_lifted(
    make_world: MakeWorld, signer: str, asked_meanwhile: bool
) -> None:
    """Also in a worker that remembers it alive, and whether or not anybody asked there while it was revoked."""
    world = make_world()
    await world.store.sessions.create(session())
    if signer == "client":
        signed = world.sign("/shop/cat.jpg", life=300, key=seed())
        other = world.sign("/shop/cat.jpg?w=1", life=300, key=seed())
    else:
        signed, other = world.sign("/shop/cat.jpg", sid=ID), world.sign("/shop/cat.jpg?w=1", sid=ID)
    assert await world.reason(signed) == ""
    world.revocations.revoke("session", ID)
    await world.store.sessions.replace(session(ended=START), generation=1)
    if asked_meanwhile:
        assert await world.reason(signed) == "revoked"
    world.revocations.lift("session", ID)
    assert await world.reason(signed) == "session_ended"
    assert await world.reason(other) == "session_ended"


async def test_a_replaced_seed_signs_nothing_when_its_revocation_is_lifted(make_world: MakeWorld) -> None:
    """Of a session there is one generation, whatever the list says of the earlier ones."""
    world = make_world()
    await world.store.sessions.create(session())
    old = world.sign("/shop/cat.jpg", life=300, key=seed())
    assert await world.reason(old) == ""
    await world.store.sessions.replace(session(generation=2), generation=1)
    world.revocations.revoke("key", f"ses_{ID}.1")
    assert await world.reason(old) == "revoked"
    world.revocations.lift("key", f"ses_{ID}.1")
    assert await world.reason(old) == "signature_invalid"


async def test_a_lift_lets_in_again_who_was_never_logged_out(make_world: MakeWorld) -> None:
    """A session that was revoked by mistake goes on."""
    world = make_world()
    await world.store.sessions.create(session())
    signed = world.sign("/shop/cat.jpg", life=300, key=seed())
    assert await world.reason(signed) == ""
    world.revocations.revoke("session", ID)
    assert await world.reason(signed) == "revoked"
    world.revocations.lift("session", ID)
    assert await world.reason(signed) == ""


async def test_out_of_scope_looks_the_same_whether_it_exists_or_not(make_world: MakeWorld) -> None:
    """Same error, same words, and the origin hears of neither."""
    acme = Client(id="acme", scope=Scope(brands=frozenset({"acme"})))
    world = make_world(clients={"acme": acme}, catalogue=Catalogue("{brand}/{barcode}.jpg"))
    world.origin.put("other/1.jpg", JPEG)
    world.origin.put("acme/1.jpg", JPEG)
    refusals = []
    for target in ("/shop/other/1.jpg", "/shop/other/2.jpg"):
        with pytest.raises(CountermarkError) as refused:
            await world.get(world.sign(target, cid="acme"))
        refusals.append((refused.value.reason, refused.value.detail, refused.value.private))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == "out_of_scope"
    assert world.origin.opened == world.origin.asked == []
    assert await world.reason(world.sign("/shop/acme/1.jpg", cid="acme")) == ""


async def test_clients_come_from_their_networks_and_are_registered(make_world: MakeWorld) -> None:
    """client_ip_not_allowed and client_unknown; a disabled one is not known either."""
    home = NetworkSet([ip_network("192.0.2.0/24")])
    clients = {"acme": Client(id="acme", networks=home), "gone": Client(id="gone", disabled=True)}
    world = make_world(clients=clients)
    signed = world.sign("/shop/cat.jpg", cid="acme")
    assert await world.reason(signed) == ""
    assert await world.reason(signed, client="198.51.100.1") == "client_ip_not_allowed"
    assert await world.reason(world.sign("/shop/cat.jpg", cid="gone")) == "client_unknown"
    assert await world.reason(world.sign("/shop/cat.jpg", cid="nobody")) == "client_unknown"


async def test_a_site_can_be_open_to_some_networks_alone(make_world: MakeWorld) -> None:
    """And then no shared cache may answer for it."""
    world = make_world(networks=NetworkSet([ip_network("192.0.2.0/24")]))
    signed = world.sign("/shop/cat.jpg")
    assert field(await world.get(signed), "Cache-Control").startswith("private")
    assert await world.reason(signed, client="198.51.100.1") == "client_ip_not_allowed"


async def test_the_template_decides_about_elements_life_and_country(make_world: MakeWorld) -> None:
    """Each with its own reason; what is allowed shows the template to auditors."""
    world = make_world(
        template=template(
            "require: [user]\nexpires: {ttl: 15m}\ngeo: {allow: [CH, DE]}\nrespond: {headers: [template]}\n"
        )
    )
    good = world.sign("/shop/cat.jpg", uid="anna", life=600)
    answer = await world.get(good, country="CH")
    assert field(answer, "Countermark-Template") == "render@1"
    assert await world.reason(good, country="NO") == "country_not_allowed"
    assert await world.reason(good) == "country_not_allowed"
    assert await world.reason(world.sign("/shop/cat.jpg", life=600), country="CH") == "element_missing"
    assert await world.reason(world.sign("/shop/cat.jpg", uid="anna", life=7200), country="CH") == "lifetime_exceeded"


async def test_who_was_let_in_opens_to_nobody_else_and_no_longer(make_world: MakeWorld) -> None:
    """What is remembered of one caller holds for the same address and country alone, and never for the time."""
    home = NetworkSet([ip_network("192.0.2.0/24")])
    world = make_world(
        networks=home,
        template=template("expires: {ttl: 15m}\ngeo: {allow: [CH, US-CA]}\nnetwork: {deny: [192.0.2.9]}\n"),
    )
    signed = world.sign("/shop/cat.jpg", life=600, geo="CH.NO")
    for client, country, reason in (
        ("192.0.2.1", "NO", "country_not_allowed"),
        ("192.0.2.9", "CH", "client_ip_not_allowed"),
        ("198.51.100.1", "CH", "client_ip_not_allowed"),
    ):
        assert await world.reason(signed, country="CH") == ""
        assert await world.reason(signed, country=country, client=client) == reason
    assert await world.reason(signed, country="CH") == ""
    world.now += 601
    assert await world.reason(signed, country="CH") == "expired"


async def test_refusals_are_written_down_as_the_template_wants(make_world: MakeWorld) -> None:
    """From the blocked address and the forged signature on; who he is stands there once it is authentic."""
    world = make_world(
        template=template("audit: {detail: full}\ncontexts: [spring]\n"),
        watch=Watch(refusals=5, refusals_window=60, block_seconds=30),
        clients={},
    )
    good = world.sign("/shop/cat.jpg", uid="anna", ctx="spring")
    for signed, reason, user in (
        (f"{good[:-4]}AAAA", "signature_invalid", ""),
        (world.sign("/shop/cat.jpg", uid="anna", cid="nobody"), "client_unknown", "anna"),
        (world.sign("/shop/cat.jpg", uid="anna", ctx="autumn"), "element_missing", "anna"),
        (world.sign("/shop/cat.jpg", uid="anna", ctx="spring", life=-9), "expired", "anna"),
    ):
        assert await world.reason(signed) == reason
        assert (world.event.audit.template, world.event.audit.user) == ("render@1", user)
    for _ in range(5):
        await world.reason(f"{good[:-4]}AAAA")
    assert await world.reason(good) == "address_blocked"
    assert (world.event.audit.template, world.event.audit.user) == ("render@1", "")


async def test_a_remembered_url_is_written_down_like_the_first_time(make_world: MakeWorld) -> None:
    """From memory as from the origin; without a policy it is nobody's."""
    world, plain = make_world(template=template("audit: {detail: full}\n")), make_world()
    signed = world.sign("/shop/cat.jpg?w=1", uid="anna")
    for cache in ("miss", "hit"):
        assert (await world.get(signed)).status == 200
        assert (world.event.cache, world.event.audit.user) == (cache, "anna")
    await plain.get(signed)
    assert plain.event.audit == UNRULED


async def test_ceilings_count_hits_and_say_how_much_is_left(make_world: MakeWorld) -> None:
    """RateLimit and Retry-After, from memory too."""
    world = make_world(template=template("ceiling: {address: {requests: 60, per: 1m, burst: 3}}\n"))
    signed = world.sign("/shop/cat.jpg?w=1")
    answers = [await world.get(signed) for _ in range(3)]
    assert [field(answer, "RateLimit") for answer in answers] == [
        '"address";r=2;t=1', '"address";r=1;t=2', '"address";r=0;t=3',
    ]  # fmt: skip
    assert field(answers[0], "RateLimit-Policy") == '"address";q=3;w=3'
    with pytest.raises(RateLimited) as limited:
        await world.get(signed)
    assert (limited.value.retry_after, limited.value.limit) == (1, "address")
    assert await world.reason(signed, client="192.0.2.2") == ""
    world.now += 1
    assert await world.reason(signed) == ""


async def test_a_client_has_a_ceiling_of_its_own(make_world: MakeWorld) -> None:
    """Whatever its addresses."""
    world = make_world(clients={"acme": Client(id="acme", rate=1, burst=2)})
    for client in ("192.0.2.1", "192.0.2.2"):
        assert await world.reason(world.sign("/shop/cat.jpg", cid="acme"), client=client) == ""
    assert await world.reason(world.sign("/shop/cat.jpg", cid="acme"), client="192.0.2.3") == "rate_limited"


async def test_a_single_use_url_of_our_own_opens_once(make_world: MakeWorld) -> None:
    """Previews and prefetches are shown nothing and spend nothing."""
    world = make_world()
    signed = world.sign("/shop/cat.jpg?w=1", once="o" * 16)
    assert await world.reason(signed, sec_purpose="prefetch;prerender") == "single_use_refused"
    assert await world.reason(signed, user_agent="Slackbot-LinkExpanding 1.0") == "single_use_refused"
    assert await whole(await world.get(signed)) == b"1"
    assert await world.reason(signed) == "used"


async def test_three_failures_in_a_row_take_a_url_back(make_world: MakeWorld) -> None:
    """It stands on the list, the picture is purged from the CDN, and people can read why."""
    world = make_world()
    signed = world.sign("/shop/cat.jpg", address="192.0.2.1")
    for _ in range(2):
        assert await world.reason(signed, client="198.51.100.1") == "address_mismatch"
    assert (await world.store.revocations.read("")).revocations == ()
    assert await world.reason(signed, client="198.51.100.1") == "address_mismatch"
    (revocation,) = (await world.store.revocations.read("")).revocations
    assert (revocation.kind, revocation.reason, revocation.author) == ("grant", "address_mismatch", "gateway")
    assert revocation.severity == "warning"
    assert world.telemetry.kinds == ["grant.refused", "grant.refused", "revocation.added"]
    (task,) = await world.store.outbox.lease(limit=9, seconds=9, now=world.now)
    assert read_purge(task).tags == (tag("object", "shop:cat.jpg"),)


async def test_a_good_request_breaks_the_row(make_world: MakeWorld) -> None:
    """Two failures, a success, two failures: nothing is taken back."""
    world = make_world()
    signed = world.sign("/shop/cat.jpg", address="192.0.2.1")
    for _ in range(2):
        for _ in range(2):
            assert await world.reason(signed, client="198.51.100.1") == "address_mismatch"
        assert await world.reason(signed) == ""
    assert (await world.store.revocations.read("")).revocations == ()


async def test_a_critical_failure_is_taken_back_within_its_own_request(make_world: MakeWorld) -> None:
    """A URL that is bound to a country and comes from another was leaked: on-call is told."""
    world = make_world()
    signed = world.sign("/shop/cat.jpg", geo="CH")
    assert await world.reason(signed, country="NO") == "country_mismatch"
    (revocation,) = (await world.store.revocations.read("")).revocations
    assert revocation.severity == "critical"
    tasks = await world.store.outbox.lease(limit=9, seconds=9, now=world.now)
    (notice,) = [read_notice(task) for task in tasks if task.kind == "notify"]
    assert (notice.kind, notice.severity, notice.facts["country"]) == ("revocation.added", "critical", "NO")


async def test_too_many_refusals_block_an_address_for_a_while(make_world: MakeWorld) -> None:
    """Whatever it brings then; others are served meanwhile."""
    world = make_world(watch=Watch(refusals=5, refusals_window=60, block_seconds=30))
    good, bad = world.sign("/shop/cat.jpg"), "/shop/cat.jpg?w=1"
    for _ in range(5):
        assert await world.reason(bad) == "signature_missing"
    with pytest.raises(AddressBlocked) as blocked:
        await world.get(good)
    assert blocked.value.retry_after == 30
    assert await world.reason(good, client="192.0.2.2") == ""
    assert "address.blocked" in world.telemetry.kinds
    world.now += 31
    assert await world.reason(good) == ""


async def test_answers_for_shared_caches_carry_surrogate_keys(make_world: MakeWorld) -> None:
    """And private ones none: they would tell browsers what belongs together."""
    world = make_world()
    answer = await world.get(world.sign("/shop/cat.jpg", cid="acme"))
    tags = field(answer, "Cache-Tag").split(",")
    assert {tag("object", "shop:cat.jpg"), tag("client", "acme"), tag("key", "k1"), tag("site", "shop")} == set(tags)
    assert field(await world.get(world.sign("/shop/cat.jpg", address="192.0.2.1")), "Cache-Tag") == ""
