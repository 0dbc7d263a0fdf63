"""The URL as the viewer had it, for dialects that sign scheme and host."""

from __future__ import annotations

from countermark.core.errors import SignatureInvalid
from countermark.signing.dialect import Realm


def viewer_base(realm: Realm) -> str:
    """Scheme and host that were signed, from the settings. Raises SignatureInvalid where these do not say."""
    # Never from the Host field: a proxy in front may have changed it, and whoever sends the request chooses it.
    if not realm.base_url:
        raise SignatureInvalid(
            "The signature does not belong to this URL.",
            private=f"sites.{realm.site}.base_url is not set, and this dialect signs scheme and host",
        )
    return realm.base_url


def viewer_host(realm: Realm) -> str:
    """The host that was signed, with its port where that is not the scheme's own, as a Host field has it."""
    return viewer_base(realm).partition("://")[2]
