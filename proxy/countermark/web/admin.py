"""The admin port: metrics and health of the whole gateway, and the admin API. It is never the public port."""

from __future__ import annotations

import socket

from aiohttp import web

from countermark.telemetry.exposition import expose
from countermark.web import admin_api

# An answer that is still being written when the gateway ends has this long.
SHUTDOWN_SECONDS = 2.0


async def start(listener: socket.socket, gateway: admin_api.Gateway) -> web.AppRunner:
    """Serve on a bound socket; the caller cleans the runner up."""

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = expose(await gateway.snapshot(), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def alive(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(_: web.Request) -> web.Response:
        reasons = await gateway.reasons()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", alive), web.get("/readyz", ready)])
    app.add_routes(admin_api.routes(gateway))
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, keepalive_timeout=75, shutdown_timeout=SHUTDOWN_SECONDS
    )
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner
