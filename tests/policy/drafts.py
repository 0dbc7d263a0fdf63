"""Templates and claims for tests."""

from __future__ import annotations

import json
from typing import Any

from countermark.core.grant import Claims
from countermark.policy.load import load_templates
from countermark.policy.template import Template


def template(lists: dict[str, str] | None = None, **keys: Any) -> Template:
    """A template of these keys, called draft; JSON is YAML, too."""
    text = json.dumps({"template": "draft", **keys})
    return load_templates({"draft.yaml": text, **(lists or {})})["draft"]


def claims(**facts: Any) -> Claims:
    """Claims with these facts."""
    given = {
        "dialect": "native",
        "syntax": "native",
        "key_id": "k1",
        "id": bytes(32),
        "path": "/a.jpg",
        "pairs": (),
        "expires": 1_060,
    }
    return Claims(**{**given, **facts})
