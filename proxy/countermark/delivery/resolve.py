"""Resolve: from what is allowed to what will be made."""

from __future__ import annotations

from countermark.core.grant import Grant
from countermark.core.request import EdgeRequest
from countermark.delivery.sites import Site
from countermark.imaging.plan import Plan, make_plan


def resolve(site: Site, grant: Grant, request: EdgeRequest) -> Plan:
    """The plan of a grant. Raises ParameterUnknown, ParameterInvalid or TransformRefused."""
    return make_plan(
        origin=site.origin,
        object_key=grant.object_key,
        syntax=grant.claims.syntax,
        pairs=grant.claims.pairs,
        rules=site.rules,
        preset=grant.claims.preset,
        transform_hash=grant.claims.transform_hash,
        accept=request.headers.get("accept", ""),
    )
