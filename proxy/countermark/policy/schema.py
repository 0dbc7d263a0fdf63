"""The JSON Schema of a policy template, for editors and CI."""

from __future__ import annotations

from countermark.policy.model import TemplateFile
from countermark.settings.reference import schema_of


def schema() -> str:
    """The schema (2020-12) as text, made of the template's own declaration."""
    return schema_of(TemplateFile, "countermark policy template")
