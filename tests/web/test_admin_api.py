"""The admin API over real HTTP: who may do what, bounded bodies, and problems for everything that is not right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from io import BytesIO

import msgspec
import pytest

from countermark.identity.revocation import Revocation
from countermark.web.admin_api import MAX_BODY
from countermark.web.admin_routes import ROUTES, Route
from tests.control.world import NOW, World, signed
from tests.policy.drafts import template
from tests.web.admin_port import TOKENS, Port, admin_port

ALICE = {"site": "shop", "user": "alice"}


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with admin_port() as served:
        yield served


def where(route: Route) -> str:
    return route.path.replace("{id}", "a" * 22)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("by", ["", "over"])
async def test_nothing_is_told_without_a_valid_token(port: Port, route: Route, by: str) -> None:
    """No token, or one that is over: 401, a challenge, and no word of what stands behind."""
    reply = await port.ask(route.method, where(route), by=by)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="countermark admin"'
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["reason"] == "token_invalid"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("role", ["viewer", "issuer", "operator", "keys"])
async def test_a_role_opens_its_routes_and_no_other(port: Port, route: Route, role: str) -> None:
    """403 exactly where the table does not name the role."""
    reply = await port.ask(route.method, where(route), by=role, body={})
    assert (reply.status == 403) == (role not in route.roles), reply.body
    if reply.status == 403:
        assert reply.json["reason"] == "role_missing"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_the_role_admin_opens_every_route(port: Port, route: Route) -> None:
    """Whatever it then says to an empty order."""
    assert (await port.ask(route.method, where(route), body={})).status not in (401, 403)


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        f"Basic {TOKENS['admin']}",
        f"Bearer {TOKENS['admin']}x",
        f"Bearer {TOKENS['admin'][:-1]}",
        f"Bearer {TOKENS['admin'].upper()}",
        TOKENS["admin"],
        "Bearer " + "x" * 5000,
    ],
)
async def test_a_token_has_one_spelling(port: Port, authorization: str) -> None:
    """Nothing near a token is a token."""
    assert (await port.ask("GET", "/v1/status", by="", authorization=authorization)).status == 401


async def test_failures_are_told_and_then_throttled(port: Port) -> None:
    """Each one of the first is a notice; the flood behind them is 429, and a right token passes all the same."""
    replies = [await port.ask("GET", "/v1/status", by="") for _ in range(15)]
    assert [reply.status for reply in replies[:10]] == [401] * 10
    assert {reply.status for reply in replies[11:]} == {429}
    assert int(replies[-1].headers["Retry-After"]) >= 1
    told = [notice for notice in port.world.ear.notices if notice.kind == "admin.refused"]
    assert 10 <= len(told) <= 11
    assert told[0].subject == "address:127.0.0.1"
    assert told[0].severity == "warning"
    assert (await port.ask("GET", "/v1/status")).status == 200


async def test_a_token_without_the_role_is_named_in_the_notice(port: Port) -> None:
    """Who reached for too much is known by name."""
    await port.ask("POST", "/v1/revocations", by="viewer", body={})
    (notice,) = port.world.ear.notices
    assert (notice.kind, notice.actor) == ("admin.refused", "viewer")


async def test_without_a_file_of_tokens_the_api_is_off_and_says_how_to_turn_it_on(port: Port) -> None:
    """Metrics and health stay as they are; the description stays, too."""
    port.supervisor.turn_off()
    for route in ROUTES:
        reply = await port.ask(route.method, where(route), body={})
        assert reply.status == 404
        assert "admin.tokens" in reply.json["detail"]
        assert "countermark admin token new" in reply.json["detail"]
    for path in ("/metrics", "/healthz", "/v1/openapi.json"):
        assert (await port.ask("GET", path, by="")).status == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nothing"), ("PUT", "/v1/status"), ("POST", "/v1/keys")])
async def test_what_is_not_there_is_a_problem(port: Port, method: str, path: str) -> None:
    """It points to the description."""
    reply = await port.ask(method, path)
    assert reply.status == 404
    assert "/v1/openapi.json" in reply.json["detail"]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        '{"kind": "user", "value": "a", "colour": "red"}',
        '{"kind": "planet", "value": "a"}',
        '{"kind": "user", "value": 5}',
        '{"kind": "user", "value": "a", "issued_before": -1}',
        b"\xff\xfe",
    ],
)
async def test_a_body_that_is_not_an_order_is_refused(port: Port, raw: str | bytes) -> None:
    """With a sentence that says where it is wrong, and without effect."""
    reply = await port.ask("POST", "/v1/revocations", raw=raw)
    assert (reply.status, reply.json["reason"]) == (400, "order_invalid")
    assert port.world.store.revocations.entries == []


async def test_a_large_body_costs_a_bounded_amount(port: Port) -> None:
    """It is refused before it is read to its end."""
    reply = await port.ask("POST", "/v1/revocations", raw=BytesIO(b" " * (MAX_BODY + 1)))
    assert reply.status == 413


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "limit=x", "kind=planet", "colour=red", "limit=1&limit=2", "after=" + "x" * 300]
)
async def test_a_query_that_makes_no_sense_is_refused(port: Port, query: str) -> None:
    """Unknown names, twins and values out of range."""
    assert (await port.ask("GET", f"/v1/revocations?{query}")).status == 400


async def test_a_url_is_revoked_read_and_lifted(port: Port) -> None:
    """Under the token's name."""
    added = await port.ask(
        "POST", "/v1/revocations", by="operator", body={"url": signed("/shop/cat.jpg"), "reason": "r"}
    )
    assert added.status == 201, added.body
    entry = added.json["revocation"]
    assert (entry["kind"], entry["author"]) == ("grant", "operator")
    assert added.json["purging"] == ["edge"]
    listed = await port.ask("GET", f"/v1/revocations?kind=grant&value={entry['value']}", by="viewer")
    assert listed.json["revocations"] == [entry]
    lifted = await port.ask(
        "POST", "/v1/revocations/lift", by="operator", body={"kind": "grant", "value": entry["value"]}
    )
    assert lifted.json["revocation"]["lifted"] is True


async def test_an_export_is_lines_and_comes_back_by_an_import(port: Port) -> None:
    """Of more than a page; and what fails at once is a problem, not an empty file."""
    entries = [Revocation(kind="user", value=f"user-{number}", created=NOW, author="x") for number in range(12_000)]
    lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    imported = await port.ask("POST", "/v1/revocations/import", by="operator", raw=lines)
    assert imported.json == {"revocations": 12_000}
    exported = await port.ask("GET", "/v1/revocations/export", by="viewer")
    assert exported.headers["Content-Type"] == "application/x-ndjson"
    assert exported.body == lines
    port.world.store.trouble = "away"
    assert (await port.ask("GET", "/v1/revocations/export", by="viewer")).status == 503


async def test_an_export_that_breaks_off_is_not_taken_for_whole(port: Port) -> None:
    """The connection is cut in the middle of a chunk."""
    entries = [Revocation(kind="user", value=f"user-{number}", created=NOW) for number in range(30_000)]
    await port.world.store.revocations.append(entries)
    read, asked = port.world.store.revocations.read, []

    async def failing(after: str, limit: int = 10_000) -> object:
        asked.append(after)
        if len(asked) == 2:
            port.world.store.trouble = "away"
        return await read(after, limit)

    port.world.store.revocations.read = failing  # type: ignore[method-assign, assignment]
    with pytest.raises(Exception, match=r"payload|disconnected|reset"):
        await port.ask("GET", "/v1/revocations/export")


async def test_what_nobody_foresaw_tells_nothing(port: Port) -> None:
    """A problem with an id; the traceback stays in the log."""

    async def broken(after: str, limit: int = 10_000) -> object:
        raise KeyError("sealed")

    port.world.store.revocations.read = broken  # type: ignore[method-assign, assignment]
    reply = await port.ask("GET", "/v1/revocations")
    assert (reply.status, reply.json["reason"]) == (500, "internal")
    assert b"sealed" not in reply.body


async def test_an_empty_list_is_an_empty_export(port: Port) -> None:
    """And an empty import adds nothing."""
    assert (await port.ask("GET", "/v1/revocations/export")).body == b""
    assert (await port.ask("POST", "/v1/revocations/import", raw=b"\n\n")).json == {"revocations": 0}


async def test_a_session_lives_from_login_to_logout(port: Port) -> None:
    """The seed is told at login and at refresh, and nowhere else."""
    opened = await port.ask("POST", "/v1/sessions", by="issuer", body=ALICE)
    assert opened.status == 201
    assert opened.headers["Cache-Control"] == "no-store"
    id = opened.json["id"]
    listed = await port.ask("GET", "/v1/sessions?user=alice", by="viewer")
    assert [session["id"] for session in listed.json["sessions"]] == [id]
    assert opened.json["seed"] not in listed.body.decode()
    assert b"sealed" not in listed.body
    refreshed = await port.ask("POST", f"/v1/sessions/{id}/refresh", by="issuer", body={"generation": 1})
    assert refreshed.json["key_id"] == f"ses_{id}.2"
    again = await port.ask("POST", f"/v1/sessions/{id}/refresh", by="issuer", body={"generation": 1})
    assert again.status == 409
    assert (await port.ask("DELETE", f"/v1/sessions/{id}", by="issuer")).json == {"sessions": [id]}
    assert (await port.ask("GET", "/v1/sessions", by="viewer")).json == {"sessions": []}
    assert (await port.ask("DELETE", f"/v1/sessions/{'b' * 22}", by="issuer")).status == 404
    ended = await port.ask("POST", "/v1/sessions/end", by="operator", body={"user": "alice"})
    assert ended.json == {"sessions": []}


async def test_a_token_of_one_site_is_kept_to_it(port: Port) -> None:
    """Even with the role admin."""
    assert (await port.ask("POST", "/v1/sessions", by="shop", body=ALICE)).status == 201
    assert (await port.ask("POST", "/v1/sessions", by="shop", body={**ALICE, "site": "press"})).status == 403
    for method, path in (("GET", "/v1/revocations"), ("GET", "/v1/revocations/export"), ("POST", "/v1/reload")):
        assert (await port.ask(method, path, by="shop")).status == 403
    assert port.supervisor.reloads == []


async def test_a_reload_says_what_came_of_it(port: Port) -> None:
    """200 when it was done; 409 with every fault when everything stays as it was."""
    assert (await port.ask("POST", "/v1/reload", by="keys")).json == {"reloaded": True}
    port.supervisor.faults = ("settings.yaml:3:1: foo: unknown key 'foo'",)
    refused = await port.ask("POST", "/v1/reload", by="keys")
    assert refused.status == 409
    assert "unknown key 'foo'" in refused.json["detail"]
    assert port.supervisor.reloads == ["keys", "keys"]


async def test_the_status_tells_trouble(port: Port) -> None:
    """Workers, why it is not ready, and the store."""
    port.world.store.trouble = "disk is full"
    status = (await port.ask("GET", "/v1/status", by="viewer")).json
    assert status["workers"] == [{"pid": 42, "state": "ready", "reasons": []}]
    assert (status["ready"], status["reasons"]) == (False, ["the list of revocations may be 3 s old"])
    assert status["store_trouble"] == "disk is full"


async def test_keys_are_listed_without_material(port: Port) -> None:
    """Neither secret nor anything that is made of it but the fingerprint."""
    reply = await port.ask("GET", "/v1/keys", by="keys")
    assert [key["id"] for key in reply.json["keys"]] == ["k1", "m1"]
    assert {"material", "private", "salt"}.isdisjoint(reply.json["keys"][0])
    assert "kkkk" not in json.dumps(reply.json)


async def test_templates_are_listed_with_what_people_are_to_do(port: Port) -> None:
    """Cadence and notes are for them; retentions are seconds."""
    region = {"countries": ["DE", "FR"], "note": "GDPR article 5(1)(e)", "retention": "30d"}
    draft = template(
        version=3,
        owner="shop",
        audit={"detail": "full", "cadence": "daily"},
        retention="90d",
        regions={"eu": region, "far": {"countries": ["NO"], "note": "No licence.", "closed": True}},
    )
    port.supervisor.control = World(templates={"draft": draft}).plane
    assert (await port.ask("GET", "/v1/templates", by="viewer")).json["templates"] == [
        {
            "name": "draft",
            "version": 3,
            "description": "",
            "owner": "shop",
            "detail": "full",
            "cadence": "daily",
            "retention": 7_776_000,
            "regions": [
                {**region, "name": "eu", "retention": 2_592_000, "closed": False},
                {"name": "far", "countries": ["NO"], "note": "No licence.", "retention": 0, "closed": True},
            ],
        }
    ]


async def test_a_store_that_is_away_is_503_with_its_reason(port: Port) -> None:
    """The holder of a token is told what the public is not."""
    port.world.store.trouble = "disk is full"
    reply = await port.ask("POST", "/v1/revocations", body={"kind": "user", "value": "alice"})
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert "disk is full" in reply.json["detail"]
