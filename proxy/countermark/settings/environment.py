"""Settings from environment variables: `server.listen` is COUNTERMARK_SERVER__LISTEN.

Lists and mappings are YAML text. A variable with a double underscore that fits no key is a fault; others are left
alone, because Kubernetes puts variables such as COUNTERMARK_SERVICE_HOST into every container beside a service.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import inspect

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.convert import Reading, suggestion
from countermark.settings.document import Entries, Node, Place, Scalar, parse
from countermark.settings.expectation import unwrapped

PREFIX = "COUNTERMARK_"
FILE_SUFFIX = "_FILE"


def secret_files(environ: Mapping[str, str], kind: inspect.Type) -> dict[str, str]:
    """Paths of the files that hold secrets, by the name of the variable that each file's content stands for.

    COUNTERMARK_ORIGINS__PHOTOS__SECRET_ACCESS_KEY_FILE=/run/secrets/key gives
    {"COUNTERMARK_ORIGINS__PHOTOS__SECRET_ACCESS_KEY": "/run/secrets/key"}. Raises ConfigurationInvalid where both the
    secret and its file are given.
    """
    files = {
        name.removesuffix(FILE_SUFFIX): path
        for name, path in environ.items()
        if name.endswith(FILE_SUFFIX) and _is_secret(name.removesuffix(FILE_SUFFIX), kind)
    }
    twice = sorted(name for name in files if name in environ)
    if twice:
        raise ConfigurationInvalid(
            [Fault(path="", file=f"${name}", message=f"given twice, also as ${name}{FILE_SUFFIX}") for name in twice]
        )
    return files


def overlay(root: Node, environ: Mapping[str, str], kind: inspect.Type, reading: Reading) -> Node:
    """The tree with the variables written over it, whole sections before single keys."""
    names = [name for name in environ if name.startswith(PREFIX)]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):
        parts = _parts(name)
        if len(parts) == 1 and not _known(parts[0], kind):
            continue
        if name.endswith(FILE_SUFFIX) and _is_secret(name.removesuffix(FILE_SUFFIX), kind):
            continue
        try:
            root = _placed(root, parts, environ[name], kind, Place(f"${name}"))
        except ConfigurationInvalid as invalid:
            reading.faults.extend(invalid.faults)
    return root


def _parts(name: str) -> list[str]:
    return name.removeprefix(PREFIX).lower().split("__")


def _known(part: str, kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.StructType) and any(field.encode_name == part for field in kind.fields)


def _is_secret(name: str, kind: inspect.Type) -> bool:
    if not name.startswith(PREFIX):
        return False
    for part in _parts(name):
        try:
            kind = _inside(kind, part, Place())
        except ConfigurationInvalid:
            return False
    return bool(unwrapped(kind)[1].get("secret"))


def _inside(kind: inspect.Type, part: str, place: Place) -> inspect.Type:
    """The type of a key of `kind`. Raises ConfigurationInvalid."""
    inner, _ = unwrapped(kind)
    if isinstance(inner, inspect.DictType):
        return inner.value_type
    if not isinstance(inner, inspect.StructType):
        raise _invalid(f"has no key {part!r} inside; give the whole list or value", place)
    types = {field.encode_name: field.type for field in inner.fields}
    if part not in types:
        raise _invalid(f"unknown key {part!r}{suggestion(part, types)}", place)
    return types[part]


def _placed(node: Node | None, parts: list[str], text: str, kind: inspect.Type, place: Place) -> Node:
    if not parts:
        return _leaf(text, kind, place)
    inside = _inside(kind, parts[0], place)
    entries = node if isinstance(node, Entries) else Entries({}, {}, place)
    name = _spelled(parts[0], entries)
    child = _placed(entries.nodes.get(name), parts[1:], text, inside, place)
    return Entries({**entries.nodes, name: child}, {**entries.key_places, name: place}, entries.place)


def _spelled(part: str, entries: Entries) -> str:
    """The file's own spelling of a name, as variables have no lower case and no hyphens."""
    for name in entries.nodes:
        if name.lower().replace("-", "_") == part:
            return name
    return part


def _leaf(text: str, kind: inspect.Type, place: Place) -> Node:
    inner, _ = unwrapped(kind)
    if isinstance(inner, inspect.StructType | inspect.DictType | inspect.VarTupleType):
        return parse(text, file=place.file)
    return Scalar(text, place, plain=False)


def _invalid(message: str, place: Place) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path="", message=message, file=place.file)])
