"""docs/admin-api.md, made of the same table as the API itself: `python -m countermark.web.reference markdown`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from countermark.settings.tokens import ROLES
from countermark.web.admin_routes import ROUTES, Route
from countermark.web.openapi import REFUSALS, document

_HEAD = """\
# Admin API

Revocations, sessions, keys and the state of the gateway, over HTTP on the admin port (`server.admin`, 127.0.0.1:8081). This
page is made from `proxy/countermark/web/admin_routes.py` by `./dev docs`; `/v1/openapi.json` is the same as OpenAPI 3.1.
The commands `revoke`, `revocations` and `sessions` speak to it, and `keys rotate --reload`.

## Turn it on

```sh
countermark admin token new --name oncall --role operator >> admin-tokens.yaml
```

The token itself is shown once, on standard error; the file holds its SHA-256. Name the file in the settings
(`admin: {tokens: ./admin-tokens.yaml}`) and reload. Without such a file the API is off: it answers 404 and says so; metrics and
health stay as they are.

```sh
export COUNTERMARK_ADMIN_TOKEN=cmadm_…      # or COUNTERMARK_ADMIN_TOKEN_FILE=/run/secrets/oncall
curl -H "Authorization: Bearer $COUNTERMARK_ADMIN_TOKEN" http://127.0.0.1:8081/v1/status
```

The port speaks plain HTTP. Keep it on loopback or a private network, and let a proxy with TLS stand before it where operators
come from elsewhere.

## Roles
"""

_RULES = """\
A token with `sites` acts for these sites alone: it revokes paths and signed URLs of theirs, and opens, sees and ends their
sessions. What reaches beyond one site (a user, a key, the whole list, a reload) takes a token without.

Every change is a notice with the token's name, in the log and wherever notices go: `revocation.added`, `revocation.lifted`,
`revocation.imported`, `session.started`, `session.refreshed`, `session.ended`, `configuration.reloaded`,
`configuration.refused`, and those of [keys](keys.md#what-is-written). So is every refused request (`admin.refused`), up to ten
at once and one in six seconds for each address; what fails more often gets 429.

Bodies are JSON of 1 MiB at most, in which unknown keys are refused; an import is NDJSON, one entry a line. Times are unix
seconds, in changes of keys RFC 3339. Every refusal is `application/problem+json`:
"""

_TITLES = {"revocations": "Revocations", "sessions": "Sessions", "keys": "Keys", "gateway": "The gateway"}


def markdown() -> str:
    """The page."""
    described = document()
    lines = [_HEAD, "| role | what it does |", "|---|---|"]
    lines += [f"| `{role}` | {meaning} |" for role, meaning in ROLES.items()]
    lines += ["", _RULES, "| status | means |", "|---|---|"]
    lines += [f"| {status} | {meaning} |" for status, meaning in REFUSALS.items()]
    for group, title in _TITLES.items():
        lines += ["", f"## {title}"]
        for route in ROUTES:
            if route.group == group:
                lines += _route(route, described)
    lines += ["", "## Types"]
    for name, schema in sorted(described["components"]["schemas"].items()):
        lines += ["", f"### {name}", "", *_schema(schema)]
    return "\n".join(lines) + "\n"


def _route(route: Route, described: dict[str, Any]) -> Iterator[str]:
    operation = described["paths"][route.path][route.method.lower()]
    yield from ("", f"### `{route.method} {route.path}`", "", route.summary, "")
    yield f"- Roles: {', '.join(f'`{role}`' for role in (*route.roles, 'admin'))}."
    asked = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    if asked:
        yield "- Query:"
        for parameter in asked:
            default = parameter["schema"].get("default")
            shown = f" Default: `{default}`." if default else ""
            yield f"  - `{parameter['name']}`: {parameter['description']}{shown}"
    if route.body is not None:
        yield f"- Body: {_link(route.body.__name__)}."
    if route.lines_in:
        yield f"- Body: NDJSON, each line a {_link('Revocation')}."
    answer = "NDJSON, each line a " + _link("Revocation") if route.answer is None else _link(route.answer.__name__)
    yield f"- Answer: {route.status}, {answer}."


def _schema(schema: dict[str, Any]) -> Iterator[str]:
    about, *rest = schema.get("description", "").split("\n\n", 1)
    yield about.replace("\n", " ")
    for paragraph in rest:
        yield from ("", "```text", paragraph, "```")
    yield from ("", "| field | value | default | meaning |", "|---|---|---|---|")
    required = schema.get("required", ())
    for name, kind in schema["properties"].items():
        default = "required" if name in required else _spelled(kind.get("default"))
        yield f"| `{name}` | {_kind(kind)} | {default} | {kind.get('description', '')} |"


def _spelled(value: Any) -> str:
    if value in ("", None):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in a few words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    return str(schema.get("type", "any")) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    words = [f"at least {least}"] * bool(least) + [f"at most {most}"] * (most is not None)
    return f", {', '.join(words)}" if words else ""


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


if __name__ == "__main__":
    sys.stdout.write({"markdown": markdown}[sys.argv[1]]())
