"""The sites as operators speak of them: where their URLs lie, who signs them, and which CDNs stand before them."""

from __future__ import annotations

from msgspec import Struct

from countermark.core.errors import OrderInvalid
from countermark.settings.model import Settings
from countermark.signing.dialect import Realm
from countermark.signing.realm import realm_of


class Front(Struct, frozen=True, kw_only=True):
    """One site. `host` "*" is any; `cdns` and `template` (the site's own policy) are names of the settings."""

    name: str
    host: str
    realm: Realm
    cdns: tuple[str, ...] = ()
    template: str = ""


class Fronts:
    """All of them."""

    def __init__(self, fronts: tuple[Front, ...]) -> None:
        self.all = fronts
        self._by_name = {front.name: front for front in fronts}
        self.cdns = tuple(sorted({cdn for front in fronts for cdn in front.cdns}))

    def named(self, name: str) -> Front:
        """Raises OrderInvalid where no site is called so."""
        if name not in self._by_name:
            raise OrderInvalid(f"No site is called {name[:80]!r}; there are {', '.join(self._by_name) or 'none'}.")
        return self._by_name[name]

    def find(self, host: str, path: str) -> Front:
        """The site that a request for this host ("" where it is not known) and raw path goes to.

        Raises OrderInvalid where that is none, or several of which only the host could say which.
        """
        fitting = [front for front in self.all if _fits(front, host, path)]
        ranked = sorted(fitting, key=_rank, reverse=True)
        if not ranked:
            raise OrderInvalid(f"No site has this host and path; there are {', '.join(self._by_name) or 'none'}.")
        if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
            raise OrderInvalid("Several sites have this path; give the URL with its host, or name the site.")
        return ranked[0]


def fronts_of(settings: Settings) -> Fronts:
    """The sites of the settings."""
    return Fronts(
        tuple(
            Front(name=site.name, host=site.match.host, realm=realm_of(site), cdns=site.cdns, template=site.policy)
            for site in settings.sites
        )
    )


def _fits(front: Front, host: str, path: str) -> bool:
    return (not host or front.host in ("*", host)) and path.startswith(front.realm.prefix)


def _rank(front: Front) -> tuple[bool, int]:
    return front.host != "*", len(front.realm.prefix)
