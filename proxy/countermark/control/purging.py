"""What CDNs must forget once something was taken back."""

from __future__ import annotations

from collections.abc import Sequence

from countermark.control.evidence import Evidence
from countermark.control.fronts import Fronts
from countermark.core.target import decode_path
from countermark.core.tasks import Purge
from countermark.identity.revocation import Revocation
from countermark.identity.surrogate import tag, tag_of


def purges(revocations: Sequence[Revocation], fronts: Fronts, *, cause: str) -> tuple[Purge, ...]:
    """One purge for each CDN that may keep something of these.

    A grant or a jti has no surrogate key of its own, so that these alone purge nothing: `purges_of` does, with the URL.
    """
    found: dict[str, tuple[list[str], list[str]]] = {}
    for revocation in revocations:
        surrogate = tag_of(revocation.kind, revocation.value)
        if revocation.lifted or surrogate is None:
            continue
        cdns, url = fronts.cdns, ""
        if revocation.kind == "path":
            site, _, prefix = revocation.value.partition(":")
            front = next((front for front in fronts.all if front.name == site), None)
            if front is None:
                continue
            cdns = front.cdns
            url = f"{front.realm.base_url}{prefix}" if front.realm.base_url else ""
        for cdn in cdns:
            tags, urls = found.setdefault(cdn, ([], []))
            tags.append(surrogate)
            if url:
                urls.append(url)
    return tuple(
        Purge(cdn=cdn, tags=tuple(dict.fromkeys(tags)), urls=tuple(dict.fromkeys(urls)), cause=cause)
        for cdn, (tags, urls) in found.items()
    )


def purges_of(evidence: Evidence, *, cause: str) -> tuple[Purge, ...]:
    """The purges for one signed URL: answers are kept by picture, so the picture goes, and the next holder asks again."""
    front, claims = evidence.front, evidence.claims
    behind = front.realm.behind_prefix(claims.path)
    if claims.source or not behind:
        surrogate = tag("site", front.name)  # its dialect names objects in its own way: rather too much than too little
    else:
        surrogate = tag("object", f"{front.name}:{decode_path('/' + behind)}")
    urls = (evidence.url,) if evidence.url else ()
    return tuple(Purge(cdn=cdn, tags=(surrogate,), urls=urls, cause=cause) for cdn in front.cdns)
