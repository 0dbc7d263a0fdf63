"""The templates that come with countermark, and the seed's tables that they stand for."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from countermark.policy.lint import lint
from countermark.policy.load import load_templates
from countermark.policy.reference import markdown
from countermark.policy.schema import schema
from countermark.policy.trial import attempt

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {file.name: file.read_text() for file in files("countermark.policy").joinpath("templates").iterdir()}
TEMPLATES = load_templates(TEXTS)
ROWS = {
    "/v1/images/render": ("render", {"session_ended", "expired", "lifetime_exceeded", "element_missing"}),
    "/v1/images/upload": ("upload", {"used", "element_missing"}),
    "/v1/images/delete": ("delete", {"session_ended", "element_missing"}),
    "URL replay": ("risk-replay", {"session_ended", "lifetime_exceeded", "element_missing"}),
    "Parameter tampering": ("risk-tampering", {"transform_refused", "element_missing"}),
    "Bypassing geo restrictions": ("risk-geo", {"country_mismatch", "country_not_allowed", "element_missing"}),
    "Key leakage": ("risk-key-leak", {"used", "address_mismatch", "element_missing"}),
    "Sealing leaks in a personalization API": ("personalization", {"lifetime_exceeded", "element_missing"}),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_tables_is_a_permit_and_a_deny(row: str) -> None:
    """With the refusals that the row is about, and each example comes out as it says."""
    name, reasons = ROWS[row]
    examples = TEMPLATES[name].file.examples
    assert any(example.permit for example in examples)
    assert reasons <= {example.reason for example in examples}
    assert [attempt(TEMPLATES[name], example.request).reason for example in examples] == [
        example.reason for example in examples
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_shipped_templates_are_clean(name: str) -> None:
    """The lint has nothing to say of them, not even in passing."""
    assert lint(TEMPLATES[name]) == []


def test_the_template_of_the_docs_is_as_good_as_they_say() -> None:
    """It loads, its examples come out, and the lint is silent."""
    blocks = re.findall(
        r"^```yaml\n(template: product\n.*?)^```", (ROOT / "docs" / "policies.md").read_text(), re.M | re.S
    )
    assert lint(load_templates({"product.yaml": blocks[0]}, presets=["card", "hero"])["product"]) == []


@pytest.mark.parametrize("file", TEXTS)
def test_the_schema_takes_what_the_loader_takes(file: str) -> None:
    """An editor shows no fault in them."""
    validator = Draft202012Validator(json.loads(schema()))
    assert [error.message for error in validator.iter_errors(YAML(typ="safe", pure=True).load(TEXTS[file]))] == []


@pytest.mark.parametrize("text", [{"template": "a", "expire": 1}, {"template": "a", "uses": "one"}, {"version": 1}])
def test_the_schema_refuses_what_the_loader_refuses(text: object) -> None:
    """An unknown key, an unknown word, a missing name."""
    assert not Draft202012Validator(json.loads(schema())).is_valid(text)


def test_the_generated_pages_are_fresh() -> None:
    """`./dev docs` writes them."""
    assert (ROOT / "docs" / "policy-reference.md").read_text() == markdown()
    assert (ROOT / "docs" / "policy.schema.json").read_text() == schema()
