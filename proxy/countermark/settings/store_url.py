"""The URL of the store, read: an SQLite file, or a Redis (or Valkey) server, Sentinel group or Cluster."""

from __future__ import annotations

import posixpath
import re
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

SQLITE = "sqlite:"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_MOST_REPLICAS = 9
_FILES = ("cacert", "cert", "key")
_SENTINEL = ("sentinel_user", "sentinel_password")


class RedisUrl(Struct, frozen=True, kw_only=True):
    """Where a Redis is asked.

    kind     single: one server; sentinel: the hosts are Sentinels, which know the master of the group `name`;
             cluster: the hosts are some of its nodes
    wait     so many replicas must have what was claimed or written before it counts (`?wait=N`)
    cacert   file of the authorities that may have signed the servers' certificates, "" for the system's
    cert, key   files of the certificate that is shown to the servers and of its key, which may be in the same file
    sentinel_user, sentinel_password   for the Sentinels, which are not asked with the servers' own
    """

    kind: Literal["single", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...]
    name: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    tls: bool = False
    wait: int = 0
    cacert: str = ""
    cert: str = ""
    key: str = ""
    sentinel_user: str = ""
    sentinel_password: str = ""

    def __repr__(self) -> str:
        return f"RedisUrl(kind={self.kind!r}, hosts={self.hosts!r})"  # no password may reach a log by a traceback

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("kind", self.kind), ("hosts", self.hosts)]


def store_fault(url: str) -> str:
    """What is wrong with a store's URL, "" where nothing is. The sentence holds nothing of the URL."""
    if url.startswith(SQLITE):
        return "" if url != SQLITE else "should name a file: sqlite:./state/countermark.db"
    try:
        read_redis_url(url)
    except ValueError as error:
        return str(error)
    return ""


def anchored_store(url: str, folder: str) -> str:
    """The URL with the relative files in it joined to `folder`; one that is wrong elsewhere stays so."""
    if url.startswith(SQLITE):
        return f"{SQLITE}{posixpath.join(folder, url.removeprefix(SQLITE))}"
    place, mark, query = url.partition("?")
    return f"{place}{mark}{'&'.join(_anchored(option, folder) for option in query.split('&'))}"


def _anchored(option: str, folder: str) -> str:
    name, _, file = option.partition("=")
    return f"{name}={quote(posixpath.join(folder, unquote(file)))}" if name in _FILES and file else option


def read_redis_url(url: str) -> RedisUrl:
    """Raises ValueError with what would be right. Its text never holds any of the URL, where a password may be."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("should be a URL such as redis://127.0.0.1:6379/0") from None
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster") or parts.fragment:
        raise ValueError(
            "should begin with sqlite:, redis://, redis+sentinel:// or redis+cluster:// (rediss: over TLS)"
        )
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    name, database = _path(kind, unquote(parts.path.removeprefix("/")))
    options = _options(parts.query)
    tls = scheme == "rediss"
    if fault := _misplaced(options, tls, kind):
        raise ValueError(fault)
    return RedisUrl(
        kind="sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "single",
        hosts=_hosts(hosts, kind or "single"),
        name=name,
        database=database,
        username=unquote(username),
        password=unquote(password),
        tls=tls,
        wait=int(options.pop("wait", "0")),
        **options,
    )


def _hosts(text: str, kind: str) -> tuple[tuple[str, int], ...]:
    found = [_HOST.fullmatch(host) for host in text.split(",")]
    if len(found) > 1 and kind == "single":
        raise ValueError("names several hosts; redis+sentinel:// or redis+cluster:// say how they belong together")
    hosts = [(match[1].strip("[]"), int(match[2] or _PORTS[kind])) for match in found if match]
    if len(hosts) < len(found) or any(not 0 < port < 65_536 for _, port in hosts):
        raise ValueError("should name HOST:PORT after its scheme (a password is percent-encoded)")
    return tuple(hosts)


def _path(kind: str, path: str) -> tuple[str, int]:
    """The Sentinel group and the database."""
    if kind == "sentinel":
        name, _, number = path.partition("/")
        if not name:
            raise ValueError("should name the Sentinel group after the hosts: redis+sentinel://HOST:26379/NAME")
    else:
        name, number = "", path
    if not re.fullmatch("[0-9]{0,4}", number, re.ASCII) or (kind == "cluster" and number.strip("0")):
        raise ValueError("should end with the number of a database, which a Cluster has only one of")
    return name, int(number or 0)


def _options(query: str) -> dict[str, str]:
    """By name, decoded as the rest of the URL is: a plus sign is one."""
    options: dict[str, str] = {}
    for option in query.split("&") if query else ():
        name, _, value = option.partition("=")
        if name not in ("wait", *_FILES, *_SENTINEL) or name in options or not value:
            raise ValueError(
                f"knows the options ?wait=N, {', '.join((*_FILES, *_SENTINEL))}, each with a value and once"
            )
        options[name] = unquote(value)
    if not re.fullmatch("[0-9]", options.get("wait", "0"), re.ASCII):
        raise ValueError(f"should have ?wait=N for 1 to {_MOST_REPLICAS} replicas")
    return options


def _misplaced(options: dict[str, str], tls: bool, kind: str) -> str:
    """Why options do not go with the rest, "" where they do. One that had no effect might leave open what was to be closed."""
    if not tls and options.keys() & set(_FILES):
        return f"has {', '.join(_FILES)} for TLS alone, which begins with rediss:"
    if "key" in options and "cert" not in options:
        return "names a key without the cert that it belongs to"
    if kind != "sentinel" and options.keys() & set(_SENTINEL):
        return f"has {' and '.join(_SENTINEL)} for Sentinels alone: redis+sentinel://"
    if "sentinel_user" in options and "sentinel_password" not in options:
        return "names a sentinel_user without a sentinel_password"
    return ""
