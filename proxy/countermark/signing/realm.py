"""From a site's settings to what signing sees of it."""

from __future__ import annotations

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.model import SiteSettings
from countermark.settings.option import Value
from countermark.signing.dialect import Realm
from countermark.signing.endless import UNLIMITED
from countermark.signing.table import DIALECTS


def realm_of(site: SiteSettings) -> Realm:
    """The realm of a site; its audience is the site's name unless another is set.

    Raises ConfigurationInvalid for a dialect that does not exist.
    """
    unknown = [name for name in site.accept if name not in DIALECTS]
    if unknown:
        message = f"no such dialect; there are {', '.join(DIALECTS)}"
        raise ConfigurationInvalid(
            [Fault(path=f"sites.{site.name}.accept.{name}", message=message) for name in unknown]
        )
    return Realm(
        site=site.name,
        audience=site.audience or site.name,
        dialects=site.accept,
        prefix=site.match.prefix,
        outer=site.outer,
        options={name: _options(name, site) for name in (*site.accept, site.outer) if name},
        base_url=site.base_url.rstrip("/"),
        sources=site.sources,
    )


def defaults(dialect: str) -> dict[str, Value]:
    """Every option of a dialect as it is where nothing is set."""
    return {option.name: option.default for option in DIALECTS[dialect].options}


def waivers(realm: Realm) -> frozenset[str]:
    """The rules of core/target.py that some dialect of this realm cannot keep."""
    return frozenset().union(*(DIALECTS[name].capabilities.waivers for name in realm.dialects))


def _options(dialect: str, site: SiteSettings) -> dict[str, Value]:
    """The settings were checked against the declared options when they were read."""
    declared = {option.name: option for option in DIALECTS[dialect].options}
    written = {name: declared[name].read(value) for name, value in site.dialects.get(dialect, {}).items()}
    # The outer dialect's end is the end of what has none itself.
    ended = {UNLIMITED: True} if site.outer and UNLIMITED in declared else {}
    return defaults(dialect) | ended | written
