"""The OpenAPI 3.1 document of the admin API, written from the table of routes and their types."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from countermark import __version__
from countermark.web.admin_routes import ROUTES, Route
from countermark.web.problems import Document

REFUSALS = {
    "400": "The order makes no sense.",
    "401": "No admin token, or none that is valid.",
    "403": "Not for this token: its roles or its sites.",
    "404": "Nothing has this name, or the API is off.",
    "409": "It is not in the state for which this was meant.",
    "413": "Too large.",
    "429": "Too many refused requests of this address.",
    "503": "The store, or the key management service, cannot be asked.",
}
_REF = "#/components/schemas/{name}"
_NAMES = re.compile(r"\{(\w+)\}")
_NDJSON = "application/x-ndjson"


def document() -> dict[str, Any]:
    """The whole document."""
    kinds = _kinds()
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of, components)
    used = {name: schema for name, schema in components.items() if name not in _query_names()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "countermark admin API",
            "version": __version__,
            "description": "Revocations, sessions, keys, and the state of the gateway. It is served at server.admin.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8081"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": used,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "cmadm_…"}},
        },
    }


def _kinds() -> list[type[Struct]]:
    kinds: dict[type[Struct], None] = {Document: None}
    for route in ROUTES:
        kinds |= {kind: None for kind in (route.query, route.body, route.answer) if kind is not None}
    return list(kinds)


def _query_names() -> set[str]:
    return {route.query.__name__ for route in ROUTES if route.query is not None}


def _operation(route: Route, schema_of: dict[type[Struct], Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.group],
        "description": f"Roles: {', '.join((*route.roles, 'admin'))}.",
    }
    if parameters := _parameters(route, components):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content("application/json", schema_of[route.body])}
    if route.lines_in:
        operation["requestBody"] = {"required": True, "content": _content(_NDJSON, {"type": "string"})}
    if route.answer is None:
        content = _content(_NDJSON, {"type": "string"})
    else:
        content = _content("application/json", schema_of[route.answer])
    problem = _content("application/problem+json", schema_of[Document])
    refusals = {status: {"description": text, "content": problem} for status, text in REFUSALS.items()}
    operation["responses"] = {str(route.status): {"description": "Done.", "content": content}, **refusals}
    return operation


def _content(kind: str, schema: Any) -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _NAMES.findall(route.path)
    ]
    if route.query is None:
        return named
    schema = components[route.query.__name__]
    required = schema.get("required", [])
    return named + [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": described.get("description", ""),
            "schema": {key: value for key, value in described.items() if key != "description"},
        }
        for name, described in schema["properties"].items()
    ]
