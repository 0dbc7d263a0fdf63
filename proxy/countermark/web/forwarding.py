"""The header fields in which a proxy names its client; one of them is read for each hop, and never another in its stead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from countermark.core.errors import Malformed
from countermark.core.networks import NetworkSet
from countermark.core.request import Address
from countermark.web.address import parse_address, parse_endpoint

# Far more proxies than stand in any real chain; it bounds what one header can cost.
MAX_HOPS = 32

Named = Address | None
"""An element of a list: None for `unknown`, an obfuscated identifier, or what is no address."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2
_QUOTED = r'"((?:[\t !#-\[\]-~]|\\[\t -~])*)"'
# One pair of RFC 7239 §4, or none, with what ends it.
_PAIR = re.compile(rf"[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|{_QUOTED}))?[ \t]*([,;]|\Z)")
_ESCAPED = re.compile(r"\\(.)")
_NODE = re.compile(r"(?:\[([^\]]+)\]|([^\[\]:]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?", re.ASCII)


def read_x_forwarded_for(text: str) -> list[Named]:
    """The addresses of an X-Forwarded-For field, its last MAX_HOPS, in their order."""
    return [parse_address(element.strip()) for element in text.split(",")[-MAX_HOPS:]] if text else []


def read_forwarded(text: str) -> list[Named]:
    """The `for` nodes of a Forwarded field (RFC 7239), its last MAX_HOPS, in their order.

    Raises Malformed: an open quotation mark that a viewer sent would swallow what our own proxy wrote behind it.
    """
    nodes: list[Named] = []
    position, pairs = 0, dict[str, str]()
    while True:
        part = _PAIR.match(text, position)
        if part is None:
            raise _unreadable("Forwarded")
        name, token, quoted, end = part.groups()
        if name is not None:
            if name.lower() in pairs:
                raise _unreadable("Forwarded")
            pairs[name.lower()] = token if token is not None else _ESCAPED.sub(r"\1", quoted)
        if end != ";":
            if pairs:
                nodes.append(_node(pairs.get("for", "")))
            pairs = {}
        if not end:
            return nodes[-MAX_HOPS:]
        position = part.end()


def _node(text: str) -> Named:
    """A node of RFC 7239 §6: IPv6 stands in brackets, and only it."""
    found = _NODE.fullmatch(text)
    if found is None:
        return None
    address = parse_address(found[1] or found[2])
    return address if address is None or (address.version == 6 or found[1] is None) else None


_LISTS: Mapping[str, Callable[[str], list[Named]]] = {
    "x-forwarded-for": read_x_forwarded_for,
    "forwarded": read_forwarded,
}

# https://developers.cloudflare.com/fundamentals/reference/http-headers/, and the other vendors' pages of the same kind.
_SINGLE: Mapping[str, Callable[[str], Named]] = {
    "cf-connecting-ip": parse_address,
    "true-client-ip": parse_address,
    "fastly-client-ip": parse_address,
    "fly-client-ip": parse_address,
    "x-real-ip": parse_address,
    "x-azure-socketip": parse_address,
    "cloudfront-viewer-address": parse_endpoint,
}

ADDRESS_FIELDS = frozenset(
    {
        *_LISTS,
        *_SINGLE,
        "cf-connecting-ipv6",
        "cf-pseudo-ipv4",
        "client-ip",
        "x-azure-clientip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded",
        "x-original-forwarded-for",
        "x-vercel-forwarded-for",
    }
)
"""Every field that names a client: dropped, unless it is the one that a proved hop is read by."""


def client_behind(hop: Address, field: str, text: str, *, ours: NetworkSet, count: int) -> Address:
    """The client that a proved hop names in the field (lower case) whose text ("" where absent) is given.

    A list is read from right to left, because only its right end was written by proxies that we trust: the first address
    that is not `ours` is the client, or that at place `count` where it is not 0. Without `count`, an element that is no
    address ends the walk at the last hop: what stands left of it is anybody's invention. Raises Malformed where a field
    for one address has another number of them, or a list is shorter than `count`.
    """
    if field in _LISTS:
        named = _LISTS[field](text)
        return _counted(named, field, count) if count else _walked(hop, named, ours)
    address = _SINGLE[field](text)
    if address is None:
        raise _unreadable(field)
    return address


def _walked(hop: Address, named: Sequence[Named], ours: NetworkSet) -> Address:
    for address in reversed(named):
        if address is None:
            break
        hop = address
        if address not in ours:
            break
    return hop


def _counted(named: Sequence[Named], field: str, count: int) -> Address:
    address = named[-count] if len(named) >= count else None
    if address is None:
        raise _unreadable(field)
    return address


def _unreadable(field: str) -> Malformed:
    return Malformed(f"The proxy before us does not name one client in {field}.")
