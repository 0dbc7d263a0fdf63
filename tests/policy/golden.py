"""What the golden files are asked, and what they answer.

A first line `# presets: card thumb` names presets that the settings know, `# sites: shop=native,imgix` a site that names
the template and its dialects, and `# list: 10.0.0.0/8` is a line of the file offices.txt beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

from countermark.core.errors import ConfigurationInvalid
from countermark.policy.diff import compare_sets, markdown
from countermark.policy.lint import SiteUse, lint
from countermark.policy.load import load_templates
from countermark.policy.template import Template
from countermark.signing.table import DIALECTS

FOLDER = Path(__file__).parent / "golden"
NAME = "case.yaml"


def load(path: Path) -> Template:
    """The one template of a golden file."""
    text = path.read_text()
    texts = {NAME: text}
    lists = re.findall(r"^# list: (.*)\n", text, re.MULTILINE)
    if lists:
        texts["offices.txt"] = "\n".join(lists)
    presets = re.match(r"# presets: (.*)\n", text)
    return load_templates(texts, presets=presets[1].split() if presets else None)["case"]


def loaded(path: Path) -> str:
    """The faults of a file, or the facts of its template."""
    try:
        template = load(path)
    except ConfigurationInvalid as invalid:
        return "".join(f"{fault}\n" for fault in invalid.faults)
    return f"loaded {template.label}\n"


def linted(path: Path) -> str:
    """The findings, one a line."""
    found = re.match(r"# sites:(.*)\n", path.read_text())
    uses = [_site(word) for word in found[1].split()] if found else None
    return "".join(f"{finding}\n" for finding in lint(load(path), uses)) or "clean\n"


def compared(path: Path) -> str:
    """The Markdown for old.yaml and new.yaml of a folder."""
    return markdown(compare_sets(*({"case": load(path / name)} for name in ("old.yaml", "new.yaml"))))


def _site(word: str) -> SiteUse:
    name, _, dialects = word.partition("=")
    return SiteUse(
        name=name,
        template="case",
        dialects={dialect: DIALECTS[dialect].capabilities for dialect in dialects.split(",")},
    )
