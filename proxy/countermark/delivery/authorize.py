"""Authorize: from what is authentic to what is allowed."""

from __future__ import annotations

import re

from countermark.core.errors import OriginalMissing, SiteUnknown, SourceRefused, TargetMalformed
from countermark.core.grant import Claims, Grant
from countermark.core.target import decode_path
from countermark.delivery.sites import Site
from countermark.identity.session import Session

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def authorize(site: Site, claims: Claims, session: Session | None = None) -> Grant:
    """The grant of authentic claims at a site. Raises SourceRefused, SiteUnknown, TargetMalformed or OriginalMissing.

    A result that is bound to one client's address or country, to his headers, to a session or to one use must not be kept
    by a cache that answers others; nor may one that is shown only to some countries or networks.
    """
    local = bool(claims.countries or claims.blocked_countries)
    personal = claims.address is not None or local or claims.from_headers or bool(claims.once or claims.session)
    return Grant(
        site=site.name,
        object_key=_object_key(_named_source(site, claims)),
        claims=claims,
        expires=_end(claims, session),
        shareable=site.shared and not personal and not site.selective,
    )


def _end(claims: Claims, session: Session | None) -> int | None:
    """When the permission ends: no cache downstream may keep a picture beyond the session that it was shown to."""
    ends = [end for end in (claims.expires, session.expires if session else None) if end is not None]
    return min(ends, default=None)


def _named_source(site: Site, claims: Claims) -> str:
    """The still percent-encoded object key that the claims name."""
    if not claims.source:
        if not claims.path.startswith(site.prefix):
            raise SiteUnknown("No site is configured for this host and path.")
        return claims.path[len(site.prefix) :]
    if not _ABSOLUTE.match(claims.source) and not claims.source.startswith("//"):
        return claims.source.removeprefix("/")
    # The site's origin is the only one that is ever asked: a source elsewhere would make the gateway an open proxy (SSRF).
    for prefix in site.realm.sources:
        if claims.source.startswith(prefix):
            return claims.source[len(prefix) :]
    raise SourceRefused("The URL names a source that does not belong to this site.")


def _object_key(encoded: str) -> str:
    """The object key, decoded once, with the rules of core/target.py again: a dialect may have waived some for the URL,
    and a source that was wrapped in base64 or JSON has never met them.
    """
    if not encoded:
        raise OriginalMissing("The path names no object.")
    if "?" in encoded or "#" in encoded:
        raise SourceRefused("The URL names a source with a query or a fragment.")
    if _BAD_ESCAPE.search(encoded):
        raise _broken("bad-escape")
    key = decode_path("/" + encoded)
    if _CONTROL.search(key):
        raise _broken("control")
    segments = key.split("/")
    # Neither %2E nor a waived %2F hides a climb out of the origin's root.
    if not {".", ".."}.isdisjoint(segments):
        raise _broken("dot-segment")
    if "" in segments:
        raise _broken("empty-segment")
    return key


def _broken(rule: str) -> TargetMalformed:
    return TargetMalformed("The URL names an object whose key has a part that no key may have.", rule=rule)
