"""Vouch: what a proxy is told that may show the picture itself."""

from __future__ import annotations

from math import ceil
from urllib.parse import quote

from countermark.core.answer import Answer
from countermark.core.errors import SingleUseRefused
from countermark.delivery.respond import cache_control
from countermark.delivery.warrants import Warrant


def vouch(warrant: Warrant, now: float) -> Answer:
    """204 with the facts that the proxy needs. Raises SingleUseRefused.

    Countermark-Cache-Key       the plan's key in 64 hexadecimal digits: the same for every signature of one picture
    Countermark-Cache-Control   what the viewer's caches may do with the picture under this permission
    Countermark-Expires-In      whole seconds for which the permission lasts, where it ends
    Countermark-Site, Countermark-Preset, Countermark-Client   names, the client's percent-encoded
    """
    claims = warrant.claims
    # Claimed here, it would be used up before the gateway is asked for the picture; not claimed, a cache would show it
    # again and again.
    if claims.once:
        raise SingleUseRefused("A single-use URL is shown by the gateway itself; send it there without asking first.")
    # The answer belongs to one question alone, and all questions have the same URL.
    fields = [
        ("Cache-Control", "no-store"),
        ("Countermark-Cache-Key", warrant.plan.key.hex()),
        ("Countermark-Cache-Control", cache_control(warrant.site, warrant.grant, now)),
        ("Countermark-Site", warrant.site.name),
    ]
    if warrant.grant.expires is not None:
        fields.append(("Countermark-Expires-In", str(max(0, ceil(warrant.grant.expires - now)))))
    if claims.preset:
        fields.append(("Countermark-Preset", quote(claims.preset, safe="")))
    if claims.client_id:
        fields.append(("Countermark-Client", quote(claims.client_id, safe="")))
    return Answer(status=204, headers=tuple(fields))
