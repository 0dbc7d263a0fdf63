"""Sites as the data plane uses them: settings compiled once, looked up by host and path on every request."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from countermark.core.errors import SiteUnknown
from countermark.imaging.plan import PlanRules
from countermark.signing.dialect import Realm


class Site(Struct, frozen=True, kw_only=True):
    """One public front of one origin. `host` "*" is any; `prefix` starts and ends with a slash; `max_age` in seconds.

    `waivers` are the target rules that a dialect of this site cannot keep; they hold for no other site.
    """

    name: str
    host: str
    prefix: str
    realm: Realm
    waivers: frozenset[str] = frozenset()
    origin: str
    rules: PlanRules
    max_age: int
    shared: bool


class SiteTable:
    """Finds the site of a request: an exact host goes before any host, then the longest prefix wins."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._by_host: dict[str, list[Site]] = {}
        for site in sorted(sites, key=lambda site: len(site.prefix), reverse=True):
            self._by_host.setdefault(site.host, []).append(site)

    def match(self, host: str, path: str) -> Site:
        """The site, or SiteUnknown."""
        site = self.find(host, path)
        if site is None:
            raise SiteUnknown("No site is configured for this host and path.")
        return site

    def find(self, host: str, path: str) -> Site | None:
        """The site of a host and a raw path, which need not have been parsed yet."""
        for name in (host, "*"):
            for site in self._by_host.get(name, ()):
                if path.startswith(site.prefix):
                    return site
        return None
