"""The description of the admin API is valid OpenAPI 3.1, and what is answered is what it describes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from countermark.settings.tokens import ROLES
from countermark.web.admin_routes import ROUTES, Route
from countermark.web.openapi import document
from countermark.web.reference import markdown
from tests.control.world import signed
from tests.web.admin_port import Port, admin_port, with_keys

DOCUMENT = document()
BODIES: dict[str, Any] = {
    "addRevocation": {"url": signed("/shop/cat.jpg"), "severity": "critical", "reason": "leaked"},
    "liftRevocation": {"kind": "path", "value": "shop:/shop/summer/"},
    "login": {"site": "shop", "user": "alice", "client_id": "acme"},
    "refreshSession": {"generation": 1, "targets": ["/shop/cat.jpg?w=x"]},
    "endSessions": {"user": "alice"},
    "rotateKeys": {"if_due": False},
}


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with admin_port(settings=with_keys(tmp_path)) as served:
        yield served


def conforms(instance: Any, schema: Any) -> None:
    """Raises where a value is not what a schema of the document says."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(instance)


def test_the_document_is_valid_openapi() -> None:
    """By the validator of the OpenAPI community, references and identifiers included."""
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()


def test_every_route_is_described_once() -> None:
    """With its own operationId, its roles, and what it answers when it refuses."""
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert sorted(operation["operationId"] for operation in operations) == sorted(route.name for route in ROUTES)
    for operation in operations:
        assert {"401", "403", "503"} <= operation["responses"].keys()


async def test_the_document_is_served_to_anybody(port: Port) -> None:
    """It holds no secret, and tools read it before they have a token."""
    reply = await port.ask("GET", "/v1/openapi.json", by="")
    assert reply.json == json.loads(json.dumps(DOCUMENT))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_route_answers_as_described(port: Port, route: Route) -> None:
    """Status, content type and every field of the body; and the order that was sent fits its schema, too."""
    opened = await port.ask("POST", "/v1/sessions", body=BODIES["login"])
    await port.ask("POST", "/v1/revocations", body=BODIES["addRevocation"])
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    body = BODIES.get(route.name)
    if route.body is not None:
        conforms(body, operation["requestBody"]["content"]["application/json"]["schema"])
    raw = b"" if route.lines_in else None
    id = "k1" if route.group == "keys" else opened.json["id"]
    reply = await port.ask(route.method, route.path.replace("{id}", id), body=body, raw=raw)
    described = operation["responses"][str(reply.status)]["content"]
    assert reply.status == route.status, reply.body
    assert list(described) == [reply.headers["Content-Type"].partition(";")[0]]
    if route.answer is not None:
        conforms(reply.json, described["application/json"]["schema"])
    else:
        entry = {"$ref": "#/components/schemas/Revocation"}
        for line in reply.body.splitlines():
            conforms(json.loads(line), entry)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_refusal_is_as_described(port: Port, route: Route) -> None:
    """A problem document for each of them."""
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    reply = await port.ask(route.method, route.path, by="")
    conforms(reply.json, operation["responses"]["401"]["content"]["application/problem+json"]["schema"])


def test_the_page_names_every_route_and_role() -> None:
    """docs/admin-api.md is made of the same table."""
    page = markdown()
    assert all(f"`{route.method} {route.path}`" in page for route in ROUTES)
    assert all(f"`{role}`" in page for role in ROLES)
