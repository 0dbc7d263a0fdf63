"""A policy template, ready to decide with."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from countermark.core.audit import Retention
from countermark.core.grant import Network
from countermark.core.networks import NetworkSet
from countermark.core.request import Address
from countermark.policy.model import Counted, Element, TemplateFile
from countermark.settings.document import Place


class Places(Struct, frozen=True):
    """Countries and regions by code; `split` are the countries of which only some regions are meant."""

    codes: frozenset[str] = frozenset()
    split: frozenset[str] = frozenset()

    @classmethod
    def of(cls, codes: frozenset[str]) -> Places:
        """From ISO 3166 codes, DE or US-CA."""
        return cls(codes, frozenset(code[:2] for code in codes if "-" in code))

    def has(self, country: str, region: str) -> bool | None:
        """Whether a place is among them; None where that depends on a region that is not known."""
        if country in self.codes or (region and f"{country}-{region}" in self.codes):
            return True
        return None if country in self.split and not region else False


class Geography(Struct, frozen=True, kw_only=True):
    """Countries: `allow` None is all of them, `unknown` says whether an unknown place is let in."""

    allow: Places | None
    deny: Places
    unknown: bool

    def open(self, country: str, region: str) -> bool:
        """Whether a place may be shown anything."""
        if not country:
            return self.unknown
        denied = self.deny.has(country, region)
        if denied or (denied is None and not self.unknown):
            return False
        allowed = True if self.allow is None else self.allow.has(country, region)
        return self.unknown if allowed is None else allowed


class Networks(Struct, frozen=True, kw_only=True):
    """Addresses: `allow` None is all of them."""

    allow: NetworkSet | None
    deny: NetworkSet

    def open(self, address: Address) -> bool:
        """Whether an address may be shown anything."""
        return address not in self.deny and (self.allow is None or address in self.allow)


class Ceiling(Struct, frozen=True):
    """A rate: seconds between two requests, and how many may come at once."""

    counted: Counted
    interval: float
    burst: int


class Template(Struct, frozen=True, kw_only=True):
    """One template of a set that was loaded together; only `load.py` makes one.

    file        all keys as they are written
    places      where each key is written, by its path
    elements    all facts that must be signed, those included that another key implies
    retention   its own and that of its regions
    geography, networks   None where every country or address may come
    allowed_networks, denied_networks   as written, those of named files included
    """

    name: str
    file: TemplateFile
    places: Mapping[str, Place]
    elements: tuple[Element, ...]
    contexts: frozenset[str]
    weaknesses: frozenset[str]
    presets: frozenset[str]
    formats: frozenset[str]
    geography: Geography | None
    networks: Networks | None
    ceilings: tuple[Ceiling, ...]
    retention: Retention
    allowed_networks: tuple[Network, ...]
    denied_networks: tuple[Network, ...]

    @property
    def label(self) -> str:
        """Name and version, as auditors see them."""
        return f"{self.name}@{self.file.version}"

    def place(self, path: str) -> Place:
        """Where a key is written, or the nearest one that it stands in."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get(path, Place())
