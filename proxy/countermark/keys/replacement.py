"""Putting a new key in the place of an old one, in the very text of a keyring file: comments and order stay."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyfile import render
from countermark.keys.keyring import Key
from countermark.settings.document import parse


def replaced(text: str, key_id: str, key: Key) -> str:
    """The text of a keyring file in which this key has the place of the one that is named; all else stays as it is.

    Raises ConfigurationInvalid where there is no such entry, or where it does not stand by itself.
    """
    parse(text)  # bounds the depth and the size of what is composed below
    root = YAML(typ="safe", pure=True).compose(text)
    entries = root.value if isinstance(root, SequenceNode) and not root.flow_style else []
    for node in entries:
        if isinstance(node, MappingNode) and _id_of(node) == key_id:
            start, indent = node.start_mark.index, f"\n{' ' * node.start_mark.column}"
            line_end = text.find("\n", _end(node))
            rest = text[line_end:] if line_end >= 0 else "\n"
            return text[:start] + render(key).removeprefix("- ").rstrip("\n").replace("\n  ", indent) + rest
    raise ConfigurationInvalid([Fault(path=key_id, message="no entry of the keyring file can be replaced by this id")])


def _id_of(node: MappingNode) -> str:
    return next((str(value.value) for name, value in node.value if name.value == "id"), "")


def _end(node: Node) -> int:
    """Where what is written of a node ends: a block's own mark stands behind the comments that follow it."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return max(_end(value) for _, value in node.value)
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return max(_end(value) for value in node.value)
    return int(node.end_mark.index)
