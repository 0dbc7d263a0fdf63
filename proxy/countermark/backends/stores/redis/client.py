"""Connections to one server, with deadlines that a request can bear."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from countermark.settings.store_url import RedisUrl

CONNECT_SECONDS = 0.05
ANSWER_SECONDS = 0.05

TROUBLES = (RedisError, OSError, TimeoutError, ValueError)
"""What can be wrong with a server or its answers. ValueError is for bytes that are no answer at all."""

_CONNECTIONS = 8


def connect(url: RedisUrl, host: str, port: int, *, patience: float | None = None, sentinel: bool = False) -> Redis:
    """A client that has not connected yet. Nothing is tried twice; who finds no connection free waits for one.

    Sentinels have no databases, and are asked without the credentials of the servers.
    """
    patience = ANSWER_SECONDS if patience is None else patience
    options: dict[str, Any] = (
        {}
        if sentinel
        else {
            "db": url.database,
            "username": url.username or None,
            "password": url.password or None,
        }
    )
    pool = BlockingConnectionPool(
        max_connections=_CONNECTIONS,
        timeout=patience,
        connection_class=SSLConnection if url.tls else Connection,
        host=host,
        port=port,
        socket_timeout=patience,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
        protocol=2,
        **options,
    )
    return Redis.from_pool(pool)
