"""Authorize: from what is authentic to what is allowed."""

from __future__ import annotations

from countermark.core.grant import Claims, Grant
from countermark.delivery.sites import Site


def authorize(site: Site, claims: Claims) -> Grant:
    """The grant of authentic claims at a site.

    A result that is bound to one client's address must not be kept by a cache that answers others.
    """
    return Grant(
        site=site.name,
        object_path=claims.path[len(site.prefix) :],
        claims=claims,
        expires=claims.expires,
        shareable=site.shared and claims.address is None,
    )
