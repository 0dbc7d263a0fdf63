"""Whatever is written, it is a template or a list of faults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.core.errors import ConfigurationInvalid
from countermark.policy.diff import compare
from countermark.policy.lint import lint
from countermark.policy.load import load_templates
from countermark.policy.model import TemplateFile

WORDS = st.sampled_from(
    [*TemplateFile.__struct_fields__, "allow", "deny", "ttl", "requests", "request", "signs", "operations", "countries"]
    + [
        "case",
        "DE",
        "US-CA",
        "10.0.0.0/8",
        "::/0",
        "offices.txt",
        "10m",
        "w=8",
        "user",
        "once",
        "exact",
        "note",
        "used",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**12) | st.floats(allow_nan=False) | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(WORDS, VALUES, max_size=8), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_anything_is_a_template_or_faults_with_places(keys: dict[str, Any], lines: str) -> None:
    """And what loads can be linted and compared."""
    texts = {"case.yaml": json.dumps({**keys, "template": "case"}), "offices.txt": lines}
    try:
        loaded = load_templates(texts)["case"]
    except ConfigurationInvalid as invalid:
        assert all(fault.file and fault.line and fault.message for fault in invalid.faults)
        return
    lint(loaded)
    assert not compare(loaded, loaded).widened


@given(st.text(max_size=200))
def test_any_text_is_a_template_or_faults(text: str) -> None:
    """No other error comes out."""
    with pytest.raises(ConfigurationInvalid):
        load_templates({"case.yaml": text})


def test_the_faults_of_all_files_are_told_at_once() -> None:
    """In the order of files and lines."""
    texts = {"b.yaml": "template: b\nuses: one\n", "a.yaml": "template: c\nowners: me\n", "x.txt": "10.0.0.0/33"}
    with pytest.raises(ConfigurationInvalid) as invalid:
        load_templates(texts)
    assert [(fault.file, fault.line) for fault in invalid.value.faults] == [
        ("a.yaml", 1),
        ("a.yaml", 2),
        ("b.yaml", 2),
        ("x.txt", 1),
    ]


def test_a_name_is_given_once() -> None:
    """Two files of one template leave open which holds."""
    with pytest.raises(ConfigurationInvalid, match="is also the template of"):
        load_templates({"a.yaml": "template: a", "a.yml": "template: a"})


def test_a_list_is_found_beside_its_template_only() -> None:
    """Another folder's list of that name is another list."""
    text = "template: a\nnetwork: { allow: [offices.txt] }"
    assert len(load_templates({"p/a.yaml": text, "p/offices.txt": "10.0.0.0/8"})["a"].allowed_networks) == 1
    with pytest.raises(ConfigurationInvalid, match="stands beside"):
        load_templates({"p/a.yaml": text, "q/offices.txt": "10.0.0.0/8"})
