"""Akamai Fast Purge (techdocs.akamai.com/purge-cache): delete by tag or URL on the production network, 50,000 bytes a call."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from countermark.backends.purgers.batches import weighed
from countermark.backends.purgers.caller import Call, Calls
from countermark.backends.purgers.edgegrid import authorization
from countermark.settings.model import CdnSettings

MOST_BYTES = 50_000
FRAME = len('{"objects":[]}')


def calls(
    settings: CdnSettings,
    *,
    clock: Callable[[], float] = time.time,
    nonce: Callable[[], str] = secrets.token_hex,
) -> Calls:
    """A URL means itself alone, without a query."""

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        word, objects = ("tag", tags) if tags else ("url", urls)
        url = f"{settings.endpoint.rstrip('/')}/ccu/v3/delete/{word}/production"
        for batch in weighed(objects, MOST_BYTES - FRAME):
            body = msgspec.json.encode({"objects": batch})
            signed = authorization(settings, "POST", url, body, now=clock(), nonce=nonce())
            headers = {"Authorization": signed, "Content-Type": "application/json"}
            yield Call(method="POST", url=url, headers=headers, body=body)

    return made
