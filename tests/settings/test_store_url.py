"""The URL of the store: what is understood, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.configuration import read_settings
from countermark.core.errors import ConfigurationInvalid
from countermark.settings.load import load, secret_files
from countermark.settings.store_url import RedisUrl, read_redis_url, store_fault


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://h", RedisUrl(kind="single", hosts=(("h", 6379),))),
        ("redis://h:7/3?wait=1", RedisUrl(kind="single", hosts=(("h", 7),), database=3, wait=1)),
        ("redis://[::1]:7/", RedisUrl(kind="single", hosts=(("::1", 7),))),
        (
            "rediss://anna:p%40ss%2F%3A@h",
            RedisUrl(kind="single", hosts=(("h", 6379),), username="anna", password="p@ss/:", tls=True),
        ),
        (
            "redis+sentinel://:p@a,b:7/pictures/2?wait=2",
            RedisUrl(
                kind="sentinel", hosts=(("a", 26379), ("b", 7)), name="pictures", database=2, password="p", wait=2
            ),
        ),
        (
            "rediss://h?cacert=/etc/a%20b.pem&cert=c.pem&key=k.pem&wait=1",
            RedisUrl(
                kind="single", hosts=(("h", 6379),), tls=True, wait=1, cacert="/etc/a b.pem", cert="c.pem", key="k.pem"
            ),
        ),
        (
            "redis+sentinel://:p@a/pictures?sentinel_user=anna&sentinel_password=p%26+%23",
            RedisUrl(
                kind="sentinel",
                hosts=(("a", 26379),),
                name="pictures",
                password="p",
                sentinel_user="anna",
                sentinel_password="p&+#",
            ),
        ),
        ("rediss+cluster://a,b:7/0", RedisUrl(kind="cluster", hosts=(("a", 6379), ("b", 7)), tls=True)),
    ],
)
def test_a_url_is_understood(url: str, meant: RedisUrl) -> None:
    """Each kind, with its default port, credentials decoded."""
    assert read_redis_url(url) == meant
    assert store_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:", "name a file"),
        ("mysql://h", "should begin with"),
        ("redis+pool://h", "should begin with"),
        ("redis://h#x", "should begin with"),
        ("redis://", "HOST:PORT"),
        ("redis://h:0", "HOST:PORT"),
        ("redis://h:99999", "HOST:PORT"),
        ("redis://:p#ss@h", "HOST:PORT"),
        ("redis://a,b", "several hosts"),
        ("redis://h/one", "number of a database"),
        ("redis+cluster://h/1", "number of a database"),
        ("redis+sentinel://h", "Sentinel group"),
        ("redis://h?wait=x", "?wait=N"),
        ("redis://h?socket_timeout=9", "?wait=N"),
        ("redis://h?wait=1&wait=2", "?wait=N"),
        ("redis://h?cacert=a.pem", "TLS alone"),
        ("rediss://h?cacert=", "with a value"),
        ("rediss://h?key=k.pem", "without the cert"),
        ("redis://h?sentinel_password=p", "Sentinels alone"),
        ("redis+sentinel://h/g?sentinel_user=anna", "without a sentinel_password"),
        ("redis://[h", "should be a URL"),
    ],
)
def test_a_fault_says_what_would_be_right(url: str, said: str) -> None:
    """At its place in the settings, too."""
    assert said in store_fault(url) or "should begin with" in store_fault(url)
    with pytest.raises(ConfigurationInvalid) as caught:
        load(f"store: '{url}'")
    assert caught.value.faults[0].path == "store"


def test_files_are_meant_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    """Those of a URL as all others; what else stands in it stays as it is."""
    url = "rediss+sentinel://anna:p%40@h/g?cacert=tls/a%20b.pem&sentinel_password=x/y&key=/k.pem&cert=./c.pem"
    file = tmp_path / "settings.yaml"
    file.write_text(f"store: {url}")
    store = read_settings(file, {}).store
    assert store.partition("?")[0] == url.partition("?")[0]
    read = read_redis_url(store)
    assert (read.cacert, read.cert) == (f"{tmp_path}/tls/a b.pem", f"{tmp_path}/./c.pem")
    assert (read.key, read.sentinel_password) == ("/k.pem", "x/y")


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_or_is_told(rest: str) -> None:
    """A password may stand anywhere in a URL that was written wrongly."""
    said = store_fault(f"redis://user:hunter2{rest}")
    assert "hunter2" not in said


def test_a_url_with_a_password_may_come_from_a_file() -> None:
    """As other secrets do."""
    assert secret_files({"COUNTERMARK_STORE_FILE": "/run/secrets/store"}) == {"COUNTERMARK_STORE": "/run/secrets/store"}
    assert load("", environ={"COUNTERMARK_STORE": "redis://:p@h"}).store == "redis://:p@h"


def test_a_password_is_in_no_text_form() -> None:
    """What is printed by a traceback or a debug line has none of it."""
    url = "redis://anna:hunter2@h"
    assert "hunter2" not in repr(load(f"store: {url}"))
    assert "hunter2" not in repr(read_redis_url(url))
    assert "hunter2" not in str(list(read_redis_url(url).__rich_repr__()))
    assert "hunter2" not in repr(read_redis_url("redis+sentinel://h/g?sentinel_password=hunter2"))
