"""Connections to one server, with deadlines that a request can bear."""

from __future__ import annotations

import ssl
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from countermark.backends.stores.redis.tls import tls_context
from countermark.settings.store_url import RedisUrl

CONNECT_SECONDS = 0.05
ANSWER_SECONDS = 0.05

TROUBLES = (RedisError, OSError, TimeoutError, ValueError)
"""What can be wrong with a server or its answers. ValueError is for bytes that are no answer at all."""

_CONNECTIONS = 8


class Dialer:
    """Makes clients for the servers of one URL; what is needed for TLS is read once. Raises ConfigurationInvalid."""

    def __init__(self, url: RedisUrl) -> None:
        self.url = url
        self._connection = _secured(tls_context(url)) if url.tls else Connection

    def server(self, host: str, port: int, *, patience: float | None = None) -> Redis:
        """A client that has not connected yet. Nothing is tried twice; who finds no connection free waits for one."""
        url = self.url
        return self._client(host, port, patience, username=url.username, password=url.password, db=url.database)

    def sentinel(self, host: str, port: int) -> Redis:
        """As `server`; Sentinels have no databases, and are asked with credentials of their own."""
        return self._client(host, port, None, username=self.url.sentinel_user, password=self.url.sentinel_password)

    def _client(
        self, host: str, port: int, patience: float | None, *, username: str, password: str, db: int = 0
    ) -> Redis:
        patience = ANSWER_SECONDS if patience is None else patience
        pool = BlockingConnectionPool(
            max_connections=_CONNECTIONS,
            timeout=patience,
            connection_class=self._connection,
            host=host,
            port=port,
            db=db,
            username=username or None,
            password=password or None,
            socket_timeout=patience,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
            protocol=2,
        )
        return Redis.from_pool(pool)


def _secured(context: ssl.SSLContext) -> Any:
    def make(**options: Any) -> SSLConnection:
        connection = SSLConnection(**options)
        # One of its own would read all authorities of the system for each connection, and trust them beside cacert.
        connection.ssl_context.context = context
        return connection

    return make
