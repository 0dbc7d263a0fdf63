"""What a template says of the record of a request."""

from __future__ import annotations

from msgspec.structs import replace

from countermark.core.audit import UNRULED, Audit
from countermark.core.grant import Claims
from countermark.policy.template import Template


def audited(template: Template | None, claims: Claims | None = None) -> Audit:
    """How a request under this template is written down; `claims` None while nothing of it is authentic."""
    if template is None:
        return UNRULED
    audit = Audit(template=template.label, detail=template.file.audit.detail, retention=template.retention)
    if claims is None or audit.detail != "full":
        return audit
    return replace(
        audit,
        user=claims.user,
        client_id=claims.client_id,
        session=claims.session,
        jti=claims.jti,
        context=claims.context,
        preset=claims.preset,
    )
