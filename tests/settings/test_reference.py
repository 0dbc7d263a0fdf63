"""The generated page and the schema say what the loader does."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from countermark.settings.reference import markdown, schema

SCHEMA = Draft202012Validator(json.loads(schema()))


def test_the_schema_is_one() -> None:
    """Valid against its own draft."""
    Draft202012Validator.check_schema(SCHEMA.schema)


@pytest.mark.parametrize("value", [1024, "256MiB", "1.5 GB"])
def test_the_schema_takes_a_size_as_number_or_text(value: object) -> None:
    """As the loader does."""
    assert SCHEMA.is_valid({"cache": {"memory": value}})


@pytest.mark.parametrize("document", [{"cach": {}}, {"cache": {"memory": "much"}}, {"sites": [{"name": "a"}]}])
def test_the_schema_refuses_what_the_loader_refuses(document: object) -> None:
    """Unknown keys, wrong units, missing keys."""
    assert not SCHEMA.is_valid(document)


def test_the_page_has_every_setting() -> None:
    """Each property of the schema stands on the page."""
    page = markdown()
    for section in SCHEMA.schema["$defs"].values():
        for name in section["properties"]:
            forms = (f"`{name}`", f"## `{name}", f".{name}`", f".{name}.NAME`", f".{name}[]`")
            assert any(form in page for form in forms), name
