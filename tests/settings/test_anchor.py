"""Relative paths are meant from the settings file's folder."""

from __future__ import annotations

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


def test_a_cache_that_is_off_stays_off() -> None:
    """An empty path is no path."""
    assert anchored(load(""), "/etc").cache.disk == ""


def test_a_store_on_a_server_is_no_path() -> None:
    """Only the file of sqlite: is joined."""
    assert anchored(load("store: sqlite:s.db"), "/etc").store == "sqlite:/etc/s.db"
    assert anchored(load("store: redis://h/0"), "/etc").store == "redis://h/0"
