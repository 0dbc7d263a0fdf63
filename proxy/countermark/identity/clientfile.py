"""The file of registered clients: a YAML mapping from client ids to what they may do.

acme:
  networks: [203.0.113.0/24]     # default: from anywhere
  scope: {paths: [acme], brands: [acme], barcodes: ["4006381333931"]}
  rate: 20                       # requests a second at the steady rate; 0, the default, is no ceiling
  burst: 100                     # how many may come at once; default: one second's worth
  disabled: false
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from math import ceil
from typing import Annotated

from msgspec import Meta, Struct, inspect

from countermark.core.errors import ConfigurationInvalid
from countermark.core.networks import NetworkSet
from countermark.identity.client import Client, Scope
from countermark.settings.convert import Reading, convert
from countermark.settings.document import parse

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _Scope(Struct, frozen=True, kw_only=True):
    paths: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    barcodes: tuple[str, ...] = ()


class _Entry(Struct, frozen=True, kw_only=True):
    networks: tuple[str, ...] = ()
    scope: _Scope = _Scope()
    rate: Annotated[float, Meta(ge=0, le=1_000_000)] = 0
    burst: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    disabled: bool = False


_KIND = inspect.type_info(dict[str, _Entry])


def load_clients(text: str, *, file: str) -> dict[str, Client]:
    """Clients by id. Raises ConfigurationInvalid with all faults, each with its place."""
    reading = Reading()
    entries: Mapping[str, _Entry] = convert(parse(text, file=file), _KIND, "", reading) or {}
    clients = {id: _client(id, entry, reading) for id, entry in entries.items()}
    if reading.faults:
        raise ConfigurationInvalid(reading.faults)
    return clients


def _client(id: str, entry: _Entry, reading: Reading) -> Client:
    if not _ID.fullmatch(id):
        reading.fault(id, "a client id is 1 to 64 of A-Z a-z 0-9 . _ -")
    if entry.burst and not entry.rate:
        reading.fault(f"{id}.burst", "says how many may come at once; it needs a rate beside it")
    scope = Scope(
        paths=entry.scope.paths, brands=frozenset(entry.scope.brands), barcodes=frozenset(entry.scope.barcodes)
    )
    return Client(
        id=id,
        disabled=entry.disabled,
        networks=_networks(id, entry, reading),
        scope=scope,
        rate=entry.rate,
        burst=entry.burst or max(1, ceil(entry.rate)),
    )


def _networks(id: str, entry: _Entry, reading: Reading) -> NetworkSet | None:
    networks = []
    for index, text in enumerate(entry.networks):
        try:
            networks.append(ip_network(text))
        except ValueError:
            message = f"should be a network such as 10.0.0.0/8 or 2001:db8::/32, not {text[:80]!r}"
            reading.fault(f"{id}.networks[{index}]", message)
    return NetworkSet(networks) if entry.networks else None
