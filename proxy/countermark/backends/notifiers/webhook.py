"""Notices by HTTP, signed as Standard Webhooks have it (standardwebhooks.com, specification 1.0)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import ClientError, ClientSession

from countermark.backends.outward import hopeless, retry_after
from countermark.core.encoding import base64
from countermark.core.errors import NotifyFailed
from countermark.core.events import Notice


class Webhook:
    """One address. `name` is what logs call it: the URL itself may be a secret."""

    def __init__(self, name: str, url: str, key: bytes, session: ClientSession, clock: Callable[[], float]) -> None:
        self._name = name
        self._url = url
        self._key = key
        self._session = session
        self._clock = clock

    async def tell(self, notice: Notice) -> None:
        body = payload(notice)
        headers = {"Content-Type": "application/json", **signed(self._key, notice.id, int(self._clock()), body)}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                status, later = response.status, retry_after(response)
        except TimeoutError as error:
            raise NotifyFailed(f"{self._name} took too long to answer.") from error
        except (ClientError, OSError) as error:
            # The error's own words would name the URL.
            raise NotifyFailed(f"{self._name} cannot be reached.", private=type(error).__name__) from error
        if not 200 <= status < 300:
            raise NotifyFailed(f"{self._name} answered {status}.", retry_after=later, final=hopeless(status))

    async def close(self) -> None:
        await self._session.close()


def payload(notice: Notice) -> bytes:
    """The body: the kind, when it happened, and the notice."""
    moment = datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": notice.kind, "timestamp": moment, "data": notice})


def signed(key: bytes, id: str, now: int, body: bytes) -> dict[str, str]:
    """Id, time and signature; who receives refuses old times, so that a copied message cannot be played again later."""
    mac = hmac.digest(key, b"%s.%d.%s" % (id.encode(), now, body), "sha256")
    return {"webhook-id": id, "webhook-timestamp": str(now), "webhook-signature": f"v1,{base64(mac)}"}
