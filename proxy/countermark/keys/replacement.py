"""Changes in the very text of a keyring file: comments, order and what is not touched stay as they are.

All raise ConfigurationInvalid where there is no such entry, or where it does not stand by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyfile import render
from countermark.keys.keyring import Key
from countermark.settings.document import parse


def replaced(text: str, key_id: str, key: Key) -> str:
    """The text in which this key has the place of the one that is named."""
    node = _entry(text, key_id)
    start, indent = node.start_mark.index, f"\n{' ' * node.start_mark.column}"
    rest = text[_line_end(text, _end(node)) :] or "\n"
    return text[:start] + render(key).removeprefix("- ").rstrip("\n").replace("\n  ", indent) + rest


def amended(text: str, key_id: str, fields: Mapping[str, str], *, instead: Mapping[str, str] = {}) -> str:
    """The text in which an entry has these fields; `instead` names fields whose place another one takes."""
    for name, value in fields.items():
        text = _with_field(text, key_id, name, value, instead.get(name, name))
    return text


def appended(text: str, entry: str) -> str:
    """The text with one more entry, as `render` writes it, at its end."""
    root = _root(text)
    if root is not None and (not isinstance(root, SequenceNode) or root.flow_style):
        raise ConfigurationInvalid(
            [Fault(path="", message="entries are added to a list with one '- id: …' a key only")]
        )
    indent = " " * root.start_mark.column if root is not None else ""
    written = "".join(f"{indent}{line}\n" for line in entry.splitlines())
    return (text if text.endswith("\n") or not text else f"{text}\n") + written


def removed(text: str, key_id: str) -> str:
    """The text without an entry."""
    node = _entry(text, key_id)
    dash = text.rfind("-", 0, node.start_mark.index)
    start = text.rfind("\n", 0, dash) + 1
    return text[:start] + text[_line_end(text, _end(node)) + 1 :]


def ids(text: str) -> list[str]:
    """The ids of the entries that can be changed."""
    return [_id_of(node) for node in _entries(text)]


def fields(text: str, key_id: str) -> dict[str, str]:
    """The fields of an entry that hold one value."""
    return {str(name.value): str(value.value) for name, value in _entry(text, key_id).value}


def _with_field(text: str, key_id: str, name: str, value: str, place: str) -> str:
    node = _entry(text, key_id)
    for field, old in node.value:
        if field.value == place:
            written = text[old.start_mark.index : old.end_mark.index]
            # The mark of a literal block stands on the line after it.
            rest = "\n" if written.endswith("\n") else ""
            end = old.start_mark.index + len(written.rstrip()) if rest else old.end_mark.index
            return text[: field.start_mark.index] + f"{name}: {value}" + text[end:]
    if node.flow_style:
        last = node.value[-1][1].end_mark.index
        return f"{text[:last]}, {name}: {value}{text[last:]}"
    last = _line_end(text, _end(node))
    return f"{text[:last]}\n{' ' * node.start_mark.column}{name}: {value}{text[last:]}"


def _root(text: str) -> Node | None:
    parse(text)  # bounds the depth and the size of what is composed
    root: Node | None = YAML(typ="safe", pure=True).compose(text)
    return root


def _entries(text: str) -> list[MappingNode]:
    root = _root(text)
    nodes = root.value if isinstance(root, SequenceNode) and not root.flow_style else []
    return [node for node in nodes if isinstance(node, MappingNode)]


def _entry(text: str, key_id: str) -> MappingNode:
    for node in _entries(text):
        if _id_of(node) == key_id:
            return node
    raise ConfigurationInvalid([Fault(path=key_id, message="no entry of the keyring file can be changed by this id")])


def _id_of(node: MappingNode) -> str:
    return next((str(value.value) for name, value in node.value if name.value == "id"), "")


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return end if end >= 0 else len(text)


def _end(node: Node) -> int:
    """Where what is written of a node ends: a block's own mark stands behind the comments that follow it."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, MappingNode) else last)
    end = int(node.end_mark.index)
    # That of a literal block stands on the line after it.
    return end - 1 if getattr(node, "style", None) in ("|", ">") else end
