"""The URL of the store, read: an SQLite file, or a Redis (or Valkey) server, Sentinel group or Cluster."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

SQLITE = "sqlite:"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_MOST_REPLICAS = 9


class RedisUrl(Struct, frozen=True, kw_only=True):
    """Where a Redis is asked.

    kind     single: one server; sentinel: the hosts are Sentinels, which know the master of the group `name`;
             cluster: the hosts are some of its nodes
    wait     so many replicas must have what was claimed or written before it counts (`?wait=N`)
    """

    kind: Literal["single", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...]
    name: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    tls: bool = False
    wait: int = 0

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
    return RedisUrl(
        kind="sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "single",
        hosts=_hosts(hosts, kind or "single"),
        name=name,
        database=database,
        username=unquote(username),
        password=unquote(password),
        tls=scheme == "rediss",
        wait=_wait(parts),
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


def _wait(parts: SplitResult) -> int:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    wait = options.pop("wait", "0")
    if options or not re.fullmatch("[0-9]", wait, re.ASCII):
        raise ValueError(f"knows one option, ?wait=N for 1 to {_MOST_REPLICAS} replicas")
    return int(wait)
