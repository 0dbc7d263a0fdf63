"""Relative paths are meant from the settings file's folder."""

from __future__ import annotations

import pytest

from countermark.settings.anchor import anchored
from countermark.settings.load import load


def test_relative_paths_are_joined_and_others_are_not_touched() -> None:
    """Keys, cache, watermarks and file: origins; a folder's own % is escaped where it enters a URL."""
    text = """\
keys: ./keys.yaml
cache: { disk: /var/cache/countermark }
origins: { a: { url: "file:./pictures" }, b: { url: "file:///srv/b" }, c: { url: "http://c/" } }
watermarks: { w: { image: w.png } }
"""
    settings = anchored(load(text), "/etc/100%")
    assert settings.keys == "/etc/100%/./keys.yaml"
    assert settings.cache.disk == "/var/cache/countermark"
    assert [origin.url for origin in settings.origins.values()] == [
        "file:/etc/100%25/./pictures",
        "file:///srv/b",
        "http://c/",
    ]
    assert settings.watermarks["w"].image == "/etc/100%/w.png"


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", "/etc/./state/revocations"),
        ("store: sqlite:/var/lib/store.db", "/var/lib/revocations"),
        ("store: sqlite:store.db", "/etc/revocations"),
        ("revocation: { folder: ./copy }", "/etc/./copy"),
        ("revocation: { folder: /var/copy }", "/var/copy"),
    ],
)
def test_the_copy_of_revocations_lies_beside_the_store(text: str, folder: str) -> None:
    """Unless it has a place of its own."""
    assert anchored(load(text), "/etc").revocation.folder == folder


def test_a_cache_that_is_off_stays_off() -> None:
    """An empty path is no path."""
    assert anchored(load(""), "/etc").cache.disk == ""
    assert anchored(load(""), "/etc").policies == ""


def test_policies_stand_beside_the_settings() -> None:
    """As everything that they name."""
    assert anchored(load("policies: ./policies"), "/etc/cm").policies == "/etc/cm/./policies"


def test_a_store_on_a_server_is_no_path() -> None:
    """Only the file of sqlite: is joined."""
    assert anchored(load("store: sqlite:s.db"), "/etc").store == "sqlite:/etc/s.db"
    assert anchored(load("store: redis://h/0"), "/etc").store == "redis://h/0"
