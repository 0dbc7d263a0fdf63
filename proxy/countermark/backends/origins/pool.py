"""The connections to one HTTP origin."""

from __future__ import annotations

from aiohttp import TCPConnector
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from countermark.backends.origins.addresses import guarded_sockets
from countermark.core.grant import Network


class Pool(TCPConnector):
    """aiohttp's pool, with the address check for each new connection and a second look at each kept one.

    Bytes that arrive while a connection is idle would be read as the answer to the next request: whoever can make an
    origin send more than it said chooses what another picture looks like (response splitting). aiohttp only looks for
    them when it puts a connection back, so this overrides its private `_get`; a test notices if that ever changes.
    """

    def __init__(self, connections: int, allowed: tuple[Network, ...]) -> None:
        super().__init__(limit=connections, socket_factory=guarded_sockets(allowed))

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None
