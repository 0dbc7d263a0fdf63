"""What a template says of the record of a request."""

from __future__ import annotations

from msgspec.structs import replace

from countermark.core.audit import UNRULED, Audit
from countermark.core.grant import Claims
from countermark.policy.template import Template


def audited(template: Template | None) -> Audit:
    """How a request under this template is written down while nothing of it is authentic."""
    if template is None:
        return UNRULED
    return Audit(template=template.label, detail=template.file.audit.detail, retention=template.retention)


def audited_holder(template: Template | None, claims: Claims, path: str) -> Audit:
    """How a request to this path with authentic claims is written down."""
    audit = audited(template)
    # Dialects such as imgproxy sign in the path: whoever reads the log could ask with the URL himself.
    if path != claims.path:
        audit = replace(audit, path=claims.path)
    if audit.detail != "full":
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
