"""What another proxy is told: the same yes and no as for a picture, and a key without a signature in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from countermark.core.errors import CountermarkError, SingleUseRefused
from countermark.core.events import RequestEvent
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.delivery.vouch import vouch
from countermark.delivery.warrants import Warrant
from tests.delivery.world import World


@pytest.fixture
async def world() -> AsyncGenerator[World, None]:
    world = World()
    yield world
    await world.door.close()
    await world.close()


async def told(world: World, signed: str, *, client: str = "192.0.2.1", accept: str = "") -> dict[str, str]:
    """The fields of the 204, or the reason of the refusal."""
    request = EdgeRequest(
        id="test",
        method="GET",
        target=parse_target(signed),
        host="img.example.com",
        client=ip_address(client),
        headers={"accept": accept},
        received=world.now,
    )
    world.event = RequestEvent(id="test", client=client)
    try:
        answer = await world.door.verify(request, world.event)
    except CountermarkError as error:
        return {"refused": error.reason}
    assert (answer.status, answer.body) == (204, b"")
    return dict(answer.headers)


async def key(world: World, target: str, **options: str) -> str:
    return (await told(world, world.sign(target), **options))["Countermark-Cache-Key"]


async def test_every_signature_of_a_picture_has_one_key(world: World) -> None:
    """64 hexadecimal digits, whatever the expiry, the address or the order of the parameters."""
    keys = {
        (await told(world, world.sign("/shop/cat.jpg?w=3&h=2", life=life)))["Countermark-Cache-Key"]
        for life in (60, 90)
    }
    keys.add((await told(world, world.sign("/shop/cat.jpg?h=2&w=3", address="192.0.2.0/24")))["Countermark-Cache-Key"])
    (one,) = keys
    assert len(bytes.fromhex(one)) == 32


async def test_other_pictures_have_other_keys(world: World) -> None:
    """Another object, another operation, another format that this browser takes."""
    keys = [
        await key(world, "/shop/cat.jpg"),
        await key(world, "/shop/dog.jpg"),
        await key(world, "/shop/cat.jpg?w=3"),
        await key(world, "/shop/cat.jpg?w=4"),
        await key(world, "/shop/cat.jpg?fm=auto", accept="image/webp"),
        await key(world, "/shop/cat.jpg?fm=auto", accept="image/avif,image/webp"),
    ]
    assert len(set(keys)) == len(keys)


async def test_the_proxy_hears_how_long_the_permission_lasts(world: World) -> None:
    """In seconds, and as the Cache-Control of the picture itself; the answer to the question is never stored."""
    fields = await told(world, world.sign("/shop/cat.jpg", life=60))
    assert fields["Countermark-Expires-In"] == "60"
    assert fields["Countermark-Cache-Control"] == "public, max-age=59, must-revalidate"
    assert (fields["Cache-Control"], fields["Countermark-Site"]) == ("no-store", "shop")
    world.now += 50.5
    signed = world.sign("/shop/cat.jpg", life=20, address="192.0.2.1/32")
    assert (await told(world, signed))["Countermark-Cache-Control"].startswith("private, max-age=19")


async def test_a_remembered_url_is_refused_once_it_has_expired(world: World) -> None:
    """The second yes is never the first one's."""
    signed = world.sign("/shop/cat.jpg", life=60)
    assert "Countermark-Cache-Key" in await told(world, signed)
    world.now += 61
    assert await told(world, signed) == {"refused": "expired"}


async def test_the_forwarded_address_counts(world: World) -> None:
    """As for pictures."""
    signed = world.sign("/shop/cat.jpg", address="192.0.2.1")
    assert "Countermark-Cache-Key" in await told(world, signed, client="192.0.2.1")
    assert await told(world, signed, client="192.0.2.2") == {"refused": "address_mismatch"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("w=3", "w=4"), "signature_invalid"),
        (("sig=", "gis="), "signature_missing"),
        (("/shop/", "/else/"), "site_unknown"),
    ],
)
async def test_what_is_no_picture_is_no_yes(world: World, change: tuple[str, str], reason: str) -> None:
    """The reasons are those of pictures."""
    signed = world.sign("/shop/cat.jpg?w=3")
    assert await told(world, signed.replace(*change)) == {"refused": reason}


async def test_an_authentic_url_that_makes_no_plan_is_refused(world: World) -> None:
    """A picture would be refused too, and a key there is none."""
    assert await told(world, world.sign("/shop/cat.jpg?wdith=3")) == {"refused": "parameter_unknown"}


async def test_asking_costs_the_origin_nothing(world: World) -> None:
    """Verification alone: nothing is fetched, and the event names site, dialect and key."""
    await told(world, world.sign("/shop/cat.jpg?w=3"))
    assert (world.origin.opened, world.origin.asked, world.renderer.recipes) == ([], [], [])
    assert (world.event.site, world.event.dialect, world.event.key_id) == ("shop", "native", "k1")
    assert "verify" in world.event.stages


async def test_a_question_makes_no_picture_free(world: World) -> None:
    """A URL that was asked about is still checked when the picture itself is wanted."""
    signed = world.sign("/shop/cat.jpg", life=60)
    await told(world, signed)
    world.now += 61
    assert await world.reason(signed) == "expired"


async def warrant(world: World, **claims: str) -> Warrant:
    """A warrant whose credentials say more than a native URL can."""
    request = EdgeRequest(
        id="test",
        method="GET",
        target=parse_target(world.sign("/shop/cat.jpg")),
        host="img.example.com",
        client=ip_address("192.0.2.1"),
        headers={},
        received=world.now,
    )
    proven = await world.door._warrant(request, RequestEvent(id="test"))
    return replace(proven, grant=replace(proven.grant, claims=replace(proven.claims, **claims)))


async def test_single_use_is_refused_and_not_spent(world: World) -> None:
    """This world's store fails on any claim."""
    with pytest.raises(SingleUseRefused):
        vouch(await warrant(world, once="token-1"), world.now)


async def test_names_cannot_write_header_fields(world: World) -> None:
    """A client id is whatever text its issuer signed."""
    fields = dict(vouch(await warrant(world, client_id="a\r\nX: é", preset="card"), world.now).headers)
    assert (fields["Countermark-Client"], fields["Countermark-Preset"]) == ("a%0D%0AX%3A%20%C3%A9", "card")
