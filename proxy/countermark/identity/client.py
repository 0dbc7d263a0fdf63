"""Clients: to whom URLs are issued, and what they may see."""

from __future__ import annotations

from msgspec import Struct

from countermark.core.catalogue import Catalogue
from countermark.core.networks import NetworkSet


class Scope(Struct, frozen=True, kw_only=True):
    """What of a site's originals a client may see; every given kind must match, and none given is everything.

    paths      prefixes of object keys; each covers the key itself and all beneath it
    brands, barcodes   values that the site's catalogue pattern finds in an object key
    """

    paths: tuple[str, ...] = ()
    brands: frozenset[str] = frozenset()
    barcodes: frozenset[str] = frozenset()

    def covers(self, object_key: str, catalogue: Catalogue | None) -> bool:
        """Whether the object lies within. It is decided by its name alone, so that nobody learns what exists."""
        if self.paths and not any(_beneath(object_key, path) for path in self.paths):
            return False
        if not self.brands and not self.barcodes:
            return True
        # A name that the pattern does not read is nobody's: without its brand, nobody can say whose it is.
        found = catalogue.read(object_key) if catalogue is not None else {}
        return all(
            not allowed or found.get(name) in allowed
            for name, allowed in (("brand", self.brands), ("barcode", self.barcodes))
        )


class Client(Struct, frozen=True, kw_only=True):
    """One registered client: the networks it may come from (None: any), its scope, and its ceiling in requests a second (0:
    none)."""

    id: str
    disabled: bool = False
    networks: NetworkSet | None = None
    scope: Scope = Scope()
    rate: float = 0
    burst: int = 1


def _beneath(object_key: str, path: str) -> bool:
    # Whole segments only: a client of brands/acme must not see brands/acme-secret.
    folder = path.rstrip("/")
    return object_key == folder or object_key.startswith(f"{folder}/")
