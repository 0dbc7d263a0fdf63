"""The kinds of CDNs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from countermark.backends.outward import open_session
from countermark.backends.purgers import akamai, bunny, cloudflare, cloudfront, fastly, keycdn, nginx, varnish
from countermark.backends.purgers.caller import CallingPurger, Calls
from countermark.settings.cdns import CdnKind
from countermark.settings.model import CdnSettings

VENDORS: Mapping[CdnKind, Callable[[CdnSettings], Calls]] = {
    "akamai": akamai.calls,
    "bunny": bunny.calls,
    "cloudflare": cloudflare.calls,
    "cloudfront": cloudfront.calls,
    "fastly": fastly.calls,
    "keycdn": keycdn.calls,
    "nginx": nginx.calls,
    "varnish": varnish.calls,
}


def open_purger(name: str, settings: CdnSettings) -> CallingPurger:
    """The purger of that CDN, for the loop that opens it."""
    return CallingPurger(name, VENDORS[settings.kind](settings), open_session(settings.timeout))
