"""Sites as the data plane uses them: settings compiled once, looked up by host and path on every request."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from countermark.core.catalogue import Catalogue
from countermark.core.errors import SiteUnknown
from countermark.core.networks import NetworkSet
from countermark.identity.surrogate import TagField
from countermark.imaging.plan import PlanRules
from countermark.policy.template import Template
from countermark.signing.dialect import Realm


class Site(Struct, frozen=True, kw_only=True):
    """One public front of one origin. `host` "*" is any; `prefix` starts and ends with a slash; `max_age` in seconds.

    `template` is the policy of what is shown, `networks` those it is open to (None: any), `catalogue` finds brands and
    barcodes in object keys, `cdns` are the names of the CDNs in front and `tag_fields` those in which they take surrogate
    keys. `waivers` are the target rules that a dialect of this site cannot keep; they hold for no other site.
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
    template: Template | None = None
    networks: NetworkSet | None = None
    catalogue: Catalogue | None = None
    cdns: tuple[str, ...] = ()
    tag_fields: tuple[TagField, ...] = ()

    @property
    def selective(self) -> bool:
        """Whether who may see depends on where he is: a cache that answers others cannot know."""
        template = self.template
        return self.networks is not None or (
            template is not None and (template.geography is not None or template.networks is not None)
        )


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
