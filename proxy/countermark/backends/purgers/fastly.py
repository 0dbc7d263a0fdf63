"""Fastly (fastly.com/documentation/reference/api/purging): 256 surrogate keys a call. Never soft: stale is still shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from countermark.backends.purgers.batches import batches
from countermark.backends.purgers.caller import Call, Calls
from countermark.settings.model import CdnSettings

ENDPOINT = "https://api.fastly.com"
MOST = 256


def calls(settings: CdnSettings) -> Calls:
    """A URL means itself alone, without a query."""
    endpoint = settings.endpoint or ENDPOINT
    headers = {"Fastly-Key": settings.token, "Content-Type": "application/json"}

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        for batch in batches(tags, MOST):
            body = msgspec.json.encode({"surrogate_keys": batch})
            yield Call(method="POST", url=f"{endpoint}/service/{settings.zone}/purge", headers=headers, body=body)
        for url in () if tags else dict.fromkeys(urls):
            parts = urlsplit(url)
            yield Call(method="POST", url=f"{endpoint}/purge/{parts.netloc}{parts.path}", headers=headers)

    return made
