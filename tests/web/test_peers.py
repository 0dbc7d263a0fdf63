"""Who the client is, and what nobody else can make us believe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from countermark.core.answer import Answer
from countermark.core.errors import ConfigurationInvalid, Malformed
from countermark.core.events import RequestEvent
from countermark.core.place import NOWHERE, Place
from countermark.core.request import Address, EdgeRequest
from countermark.keys.keyring import Key, Keyring
from countermark.settings.model import GeoSettings, HopSettings, ServerSettings, Settings
from countermark.web.country import COUNTRY_FIELDS
from countermark.web.forwarding import ADDRESS_FIELDS
from countermark.web.hops import Client, hops_of
from countermark.web.peers import COMPLAIN_EVERY, Peers, open_peers
from tests.mmdb import country, mmdb
from tests.web.conftest import StartFront

EDGE, STRANGER, VIEWER = "192.0.2.10", "203.0.113.66", "198.51.100.7"
SECRET, NEXT = "a secret of the edge", "the next secret of it"
CLOUDFLARE = HopSettings(
    networks=("192.0.2.0/24",),
    secret_header="X-Edge-Secret",
    secret=SECRET,
    next_secret=NEXT,
    address="CF-Connecting-IP",
    country="cloudflare",
)
NO_KEYS = Keyring([])
GOOD = {"x-edge-secret": SECRET, "cf-connecting-ip": VIEWER, "cf-ipcountry": "SE", "cf-region-code": "AB"}


def peers(*, locate: Any = None, **hops: HopSettings) -> Peers:
    server = ServerSettings(hops=hops)
    return Peers(hops_of(server, authorities={}, keyring=NO_KEYS, locate=locate), locate)


def ask(found: Peers, peer: str, headers: dict[str, str], *, announcer: str = "", now: float = 0) -> Client:
    return found.client(peer, announcer, headers, method="GET", host="a", target="/a", now=now)


def test_a_proved_hop_names_client_and_place() -> None:
    """From its own fields; the secret is not handed on, the fields that were read are."""
    fields = {**GOOD, "accept": "image/webp"}
    client = ask(peers(edge=CLOUDFLARE), EDGE, fields)
    assert (client.text, client.place, client.trusted) == (VIEWER, Place("SE", "AB"), True)
    assert fields == {key: value for key, value in GOOD.items() if key != "x-edge-secret"} | {"accept": "image/webp"}


def test_the_next_secret_is_good_too() -> None:
    """So that it can be changed without a gap."""
    assert ask(peers(edge=CLOUDFLARE), EDGE, {**GOOD, "x-edge-secret": NEXT}).text == VIEWER


@pytest.mark.parametrize(
    ("peer", "change"),
    [
        (STRANGER, {}),
        (EDGE, {"x-edge-secret": ""}),
        (EDGE, {"x-edge-secret": "another secret"}),
        (EDGE, {"x-edge-secret": f"{SECRET}, {SECRET}"}),
    ],
    ids=["from elsewhere with a stolen secret", "none", "wrong", "twice"],
)
def test_a_hop_that_does_not_prove_itself_is_an_ordinary_client(peer: str, change: dict[str, str]) -> None:
    """Its networks belong to every customer of the CDN, and its secret alone may be known by somebody."""
    fields = {**GOOD, **change}
    client = ask(peers(edge=CLOUDFLARE), peer, fields)
    assert (client.text, client.place, client.trusted) == (peer, NOWHERE, False)
    assert fields == {}


def test_a_stranger_cannot_say_who_or_where_he_is() -> None:
    """Every field of every vendor is dropped, so that nothing behind us reads it either."""
    claims = ADDRESS_FIELDS | COUNTRY_FIELDS | {"client-cert", "x-forwarded-host", "x-forwarded-proto"}
    fields = dict.fromkeys(claims, "198.51.100.7") | {"accept": "*/*", "cookie": "a=b"}
    assert ask(peers(), STRANGER, fields).text == STRANGER
    assert fields == {"accept": "*/*", "cookie": "a=b"}


def test_a_viewer_behind_a_proved_hop_cannot_use_another_field() -> None:
    """CDNs pass on what they do not know: only the configured fields survive, the others are not read."""
    others = dict.fromkeys((ADDRESS_FIELDS | COUNTRY_FIELDS) - GOOD.keys(), "203.0.113.9")
    fields = {**others, **GOOD}
    client = ask(peers(edge=CLOUDFLARE), EDGE, fields)
    assert (client.text, client.place) == (VIEWER, Place("SE", "AB"))
    assert not fields.keys() & others.keys()


@pytest.mark.parametrize("told", ["", f"{VIEWER}, 203.0.113.9", f"203.0.113.9,{VIEWER}", "unknown"])
def test_another_field_is_never_a_fallback(told: str) -> None:
    """Where the one field does not name one client, X-Forwarded-For is not asked, and the hop is not the client."""
    fields = {**GOOD, "cf-connecting-ip": told, "x-forwarded-for": "203.0.113.9", "x-real-ip": "203.0.113.9"}
    with pytest.raises(Malformed, match="cf-connecting-ip"):
        ask(peers(edge=CLOUDFLARE), EDGE, fields)


@pytest.mark.parametrize("told", ["", "SE, SE", "T1", "XX", "se-ab", "reserved"])
def test_a_country_that_is_not_told_is_unknown(told: str) -> None:
    """It is not looked up in the database either: one source for each hop."""
    found = peers(edge=CLOUDFLARE, locate=lambda address: Place("DE"))
    assert ask(found, EDGE, {**GOOD, "cf-ipcountry": told}).place == NOWHERE


def test_a_customer_of_a_cdn_before_our_proxy_cannot_use_its_networks() -> None:
    """The list is read through a hop's own networks, not through those of another hop that asks for more."""
    inner = HopSettings(networks=("10.0.0.0/8",))
    fields = {"x-forwarded-for": f"203.0.113.9, {EDGE}"}
    assert ask(peers(edge=CLOUDFLARE, inner=inner), "10.0.0.1", fields).text == EDGE
    through = HopSettings(networks=("10.0.0.0/8",), through=("192.0.2.0/24",))
    assert ask(peers(inner=through), "10.0.0.1", {"x-forwarded-for": f"203.0.113.9, {EDGE}"}).text == "203.0.113.9"


def test_the_first_hop_that_proves_itself_counts() -> None:
    """Two ways to prove one edge are two hops."""
    other = HopSettings(
        networks=("192.0.2.0/24",), secret_header="X-Other", secret="another secret", address="X-Real-IP"
    )
    found = peers(edge=CLOUDFLARE, other=other)
    assert ask(found, EDGE, {**GOOD, "x-real-ip": "203.0.113.9"}).text == VIEWER
    fields = {"x-other": "another secret", "x-real-ip": VIEWER, "cf-connecting-ip": "203.0.113.9"}
    assert ask(found, EDGE, fields).text == VIEWER
    assert "cf-connecting-ip" not in fields


def test_a_sender_of_proxy_headers_is_known_by_its_own_address() -> None:
    """Not by the client's, which it announces; so may a client who is in the sender's networks prove nothing."""
    hop = HopSettings(networks=("10.0.0.0/8",), address="proxy-protocol", country="header", country_header="X-Geo")
    found = peers(balancer=hop)
    client = ask(found, VIEWER, {"x-geo": "SE"}, announcer="10.0.0.1")
    assert (client.text, client.place, client.trusted) == (VIEWER, Place("SE"), True)
    assert not ask(found, "10.0.0.66", {"x-geo": "SE"}).trusted
    assert ask(found, VIEWER, {"x-geo": "SE"}, announcer="192.0.2.1").place == NOWHERE


def test_the_database_tells_where_no_field_is_configured() -> None:
    """Of the client's own address, behind a proxy or not."""

    def locate(address: Address) -> Place:
        return Place("DE" if str(address) == VIEWER else "FR")

    found = peers(inner=HopSettings(networks=("10.0.0.0/8",)), locate=locate)
    assert ask(found, VIEWER, {"cf-ipcountry": "SE"}).place == Place("DE")
    assert ask(found, "10.0.0.1", {"x-forwarded-for": VIEWER, "cf-ipcountry": "SE"}).place == Place("DE")
    assert ask(found, "10.0.0.1", {"x-forwarded-for": STRANGER}).place == Place("FR")


def test_the_short_form_is_a_hop_of_its_own() -> None:
    """trusted_proxies and country_header mean what they always meant."""
    server = ServerSettings(trusted_proxies=("10.0.0.0/8",), country_header="X-Country")
    found = Peers(hops_of(server, authorities={}, keyring=NO_KEYS, locate=None))
    client = ask(found, "10.0.0.1", {"x-forwarded-for": f"203.0.113.9, {VIEWER}, 10.2.3.4", "x-country": "se"})
    assert (client.text, client.place, client.trusted) == (VIEWER, Place("SE"), True)
    assert ask(found, VIEWER, {"x-forwarded-for": "10.0.0.1", "x-country": "se"}).place == NOWHERE


def test_who_fails_to_prove_itself_is_told_to_the_log_now_and_then() -> None:
    """Without its secret, and not for each request."""
    structlog.reset_defaults()
    found = peers(edge=CLOUDFLARE)
    with capture_logs() as logs:
        for now in (0, 1, COMPLAIN_EVERY - 1, COMPLAIN_EVERY):
            ask(found, EDGE, {"x-edge-secret": "another secret"}, now=now)
        ask(found, STRANGER, {})
    assert [(line["hops"], line["peer"]) for line in logs] == [(["edge"], EDGE)] * 2
    assert "another secret" not in str(logs)


@given(st.dictionaries(st.sampled_from([*GOOD, "x-forwarded-for", "forwarded", "accept"]), st.text(max_size=60)))
def test_no_header_raises_outside_of_the_tree(fields: dict[str, str]) -> None:
    """Whatever is claimed: a client, or Malformed; and without the secret always the peer itself."""
    try:
        client = ask(peers(edge=CLOUDFLARE, inner=HopSettings(networks=("10.0.0.0/8",))), EDGE, dict(fields))
    except Malformed:
        assert fields["x-edge-secret"] in (SECRET, NEXT)
        return
    assert client.trusted or client.text == EDGE


def test_the_files_that_the_settings_name_are_read(tmp_path: Path) -> None:
    """The database at the start, and each fault with its setting."""
    path = tmp_path / "geo.mmdb"
    path.write_bytes(mmdb({"198.51.100.0/24": country("DE")}))
    found = open_peers(Settings(geo=GeoSettings(database=str(path))), NO_KEYS)
    assert found.peer(VIEWER).place == Place("DE")
    with pytest.raises(ConfigurationInvalid, match=r"geo\.database"):
        open_peers(Settings(geo=GeoSettings(database=str(tmp_path / "none"))), NO_KEYS)
    hop = HopSettings(networks=("10.0.0.0/8",), client_authorities=str(path))
    with pytest.raises(ConfigurationInvalid, match=r"server\.hops\.edge\.client_authorities: holds no certificates"):
        open_peers(Settings(server=ServerSettings(hops={"edge": hop})), NO_KEYS)


def test_a_hop_that_signs_needs_a_key_that_opens_it(tmp_path: Path) -> None:
    """Else nothing would ever prove it, and the reason would be hard to find."""
    with pytest.raises(ConfigurationInvalid, match=r"no key of dialect rfc9421 opens 'edge'"):
        peers(edge=HopSettings(signed=True))


def test_a_hop_that_signs_takes_the_keys_that_the_supervisor_opened(tmp_path: Path) -> None:
    """A worker that replaces a dead one starts while the key management service, or the keyring file, is away."""
    key = Key(id="edge-1", dialect="rfc9421", algorithm="hmac-sha256", material=bytes(range(32)), sites=("edge",))
    hop = HopSettings(networks=("192.0.2.0/24",), signed=True)
    settings = Settings(keys=str(tmp_path / "none"), server=ServerSettings(hops={"edge": hop}))
    assert ask(open_peers(settings, Keyring([key])), EDGE, {"accept": "image/webp"}).text == EDGE


async def test_the_door_gets_client_country_and_region(start_front: StartFront) -> None:
    """Over real sockets; a request that names no client is refused."""
    seen: list[EdgeRequest] = []

    async def keep(request: EdgeRequest, event: RequestEvent) -> Answer:
        seen.append(request)
        return Answer(status=200, headers=())

    hop = HopSettings(
        networks=("127.0.0.0/8",), secret_header="X-Edge-Secret", secret=SECRET, address="X-Real-IP", country="bunny"
    )
    front = await start_front(keep, server=ServerSettings(hops={"edge": hop}))
    told = (f"X-Edge-Secret: {SECRET}", "CDN-RequestCountryCode: SE", "CDN-RequestStateCode: AB")
    assert (await front.get("/a", *told, f"X-Real-IP: {VIEWER}"))[0] == 200
    assert (await front.get("/a", *told, f"X-Real-IP: {VIEWER}", "X-Real-IP: 203.0.113.9"))[0] == 400
    assert (await front.get("/a", "CDN-RequestCountryCode: SE", f"X-Real-IP: {VIEWER}"))[0] == 200
    facts = [(str(request.client), request.country, request.region) for request in seen]
    assert facts == [(VIEWER, "SE", "AB"), ("127.0.0.1", "", "")]
    assert all("x-edge-secret" not in request.headers for request in seen)
    assert [(event.status, event.client, event.place) for event in front.events] == [
        (200, VIEWER, Place("SE", "AB")),
        (400, "127.0.0.1", NOWHERE),
        (200, "127.0.0.1", NOWHERE),
    ]
