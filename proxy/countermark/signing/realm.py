"""From a site's settings to what signing sees of it."""

from __future__ import annotations

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.model import SiteSettings
from countermark.signing.dialect import Realm
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
        options={"keycdn_ip": site.keycdn_ip},
    )
