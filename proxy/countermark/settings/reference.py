"""The configuration page and the JSON Schema, made of the settings' own declaration.

`python -m countermark.settings.reference markdown|schema` prints one of them; `./dev docs` writes both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

from countermark.settings.convert import joined
from countermark.settings.environment import PREFIX
from countermark.settings.expectation import expectation, spelled, unwrapped
from countermark.settings.model import Settings

_HEAD = """\
# Configuration

One YAML 1.2 file. This page is made from `proxy/countermark/settings/model.py` by `./dev docs`; the same declaration as
a JSON Schema, for editors, is [configuration.schema.json](configuration.schema.json).

- A key that is not on this page is refused, and all faults are told at once, each with file, line and column.
- Sizes are bytes or a number with a unit, such as `64KiB` or `10GiB`; durations are seconds or a number with a unit,
  such as `500ms`, `10s`, `5m`, `7d`.
- Relative paths are meant from the folder of the settings file.
- Each key is also an environment variable, which wins over the file: `server.listen` is `COUNTERMARK_SERVER__LISTEN`,
  and lists and mappings are YAML text. In names of your own, a hyphen is written as one underscore.
- A secret is also read from a file: `COUNTERMARK_ORIGINS__PHOTOS__SECRET_ACCESS_KEY_FILE=/run/secrets/photos`. A line
  break at the file's end is not part of it.
- YAML aliases, tags and directives are not read.
"""


def markdown() -> str:
    """The page: one table a section."""
    return "\n".join([_HEAD, *tables(Settings, environment=True)])


def schema() -> str:
    """The JSON Schema of the file, as text."""
    return schema_of(Settings, "countermark settings")


def tables(kind: type[msgspec.Struct], *, environment: bool) -> Iterator[str]:
    """One table a section; `environment` tells how its keys are written as variables."""
    for path, section in _sections(inspect.type_info(kind), ""):
        yield _section(path, section, environment=environment)


def schema_of(kind: type[msgspec.Struct], title: str) -> str:
    """The JSON Schema (2020-12) of a declaration, as text. Sizes and durations may also be texts with a unit."""
    document = msgspec.json.schema(kind)
    _measures(inspect.type_info(kind), document)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**head, **document}, indent=2) + "\n"


def _measures(root: inspect.Type, document: dict[str, Any]) -> None:
    """Let every size and duration be a text with a unit too; msgspec knows them as numbers only."""
    for _, kind in _sections(root, ""):
        properties = document["$defs"][kind.cls.__name__]["properties"]
        for field in kind.fields:
            unit = _unit(field.type)
            if unit:
                properties[field.encode_name] = _measure(properties[field.encode_name], unit)


def _unit(kind: inspect.Type) -> str:
    """The unit of a measure, or of the measure among some choices."""
    inner, extra = unwrapped(kind)
    members = inner.types if isinstance(inner, inspect.UnionType) else ()
    units = [extra.get("unit", ""), *(unwrapped(member)[1].get("unit", "") for member in members)]
    return next(filter(None, units), "")


def _measure(number: dict[str, Any], unit: str) -> dict[str, Any]:
    kept = {key: value for key, value in number.items() if key in ("description", "default")}
    bounds = {key: value for key, value in number.items() if key not in kept}
    text = {"type": "string", "pattern": "^[0-9.]+ ?([KMGT]i?B|B)$" if unit == "size" else "^[0-9.]+ ?(ms|s|m|h|d)$"}
    return {**kept, "anyOf": [*bounds.get("anyOf", [bounds]), text]}


def _sections(kind: inspect.Type, path: str) -> Iterator[tuple[str, inspect.StructType]]:
    """Every section with its path, as `origins.NAME` or `sites[]`, in the order of the file."""
    inner, _ = unwrapped(kind)
    if isinstance(inner, inspect.DictType):
        yield from _sections(inner.value_type, f"{path}.NAME")
    elif isinstance(inner, inspect.VarTupleType):
        yield from _sections(inner.item_type, f"{path}[]")
    elif isinstance(inner, inspect.StructType):
        yield path, inner
        for field in inner.fields:
            yield from _sections(field.type, joined(path, field.encode_name))


def _section(path: str, kind: inspect.StructType, *, environment: bool) -> str:
    rows = [_row(field) for field in kind.fields if next(_sections(field.type, ""), None) is None]
    if not rows:
        return ""
    title = f"## `{path}`" if path else "## Top level"
    about = (kind.cls.__doc__ or "").splitlines()[0]
    lines = [title, "", about, "", "| key | value | default | meaning |", "|---|---|---|---|", *rows]
    if environment and path and "NAME" not in path and "[]" not in path:
        lines += ["", f"Environment: `{PREFIX}{path.upper().replace('.', '__')}__KEY`."]
    return "\n".join(lines) + "\n"


def _row(field: inspect.Field) -> str:
    secret = unwrapped(field.type)[1].get("secret")
    value = "a secret" if secret else expectation(field.type).replace("|", "\\|")
    cells = (f"`{field.encode_name}`", value, _default(field), _description(field.type))
    return f"| {' | '.join(cells)} |"


def _description(kind: inspect.Type) -> str:
    extra = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((extra or {}).get("description", ""))


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default_factory() if field.default_factory is not NODEFAULT else field.default
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, bool | tuple | list | dict):
        return f"`{json.dumps(value)}`".replace('"', "")
    return f"`{spelled(value, unwrapped(field.type)[1].get('unit', ''))}`"


if __name__ == "__main__":
    sys.stdout.write({"markdown": markdown, "schema": schema}[sys.argv[1]]())
