"""The page of all keys and lint rules of policies, made of their own declarations.

`python -m countermark.policy.reference markdown|schema` prints it, or the schema; `./dev docs` writes both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from countermark.policy.lint import ALL
from countermark.policy.model import TemplateFile
from countermark.policy.schema import schema
from countermark.policy.trial import REASONS
from countermark.settings.reference import tables

_HEAD = """\
# Policy reference

Made from `proxy/countermark/policy/` by `./dev docs`; [policies.md](policies.md) tells how a template is written. As a JSON
Schema, for editors: [policy.schema.json](policy.schema.json), or `countermark policy schema`.

Durations are seconds or a number with a unit, such as `30s`, `10m`, `90d`. A key that is not on this page is refused.
"""


def markdown() -> str:
    """The page: one table a section, then the reasons of refusal and the rules."""
    return "\n".join([_HEAD, *tables(TemplateFile, environment=False), *_reasons(), *_rules()])


def _reasons() -> Iterator[str]:
    yield "## Reasons"
    yield ""
    yield f"An example with `deny` names one of these as its `reason`: {', '.join(f'`{reason}`' for reason in REASONS)}."
    yield ""


def _rules() -> Iterator[str]:
    yield "## Lint rules"
    yield ""
    yield "| rule | severity | finds | what to do |"
    yield "|---|---|---|---|"
    for rule in ALL:
        yield f"| {rule.id} | {rule.severity} | {rule.title} | {rule.remedy} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write({"markdown": markdown, "schema": schema}[sys.argv[1]]())
