"""Bunny (docs.bunny.net, "Purge Cache" of a pull zone and "Purge URL"): one tag or URL a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from countermark.backends.purgers.caller import Call, Calls
from countermark.settings.model import CdnSettings

ENDPOINT = "https://api.bunny.net"


def calls(settings: CdnSettings) -> Calls:
    """A URL means every query behind it, by a star."""
    endpoint = settings.endpoint or ENDPOINT
    headers = {"AccessKey": settings.token, "Content-Type": "application/json"}

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        for tag in dict.fromkeys(tags):
            body = msgspec.json.encode({"CacheTag": tag})
            yield Call(method="POST", url=f"{endpoint}/pullzone/{settings.zone}/purgeCache", headers=headers, body=body)
        for url in () if tags else dict.fromkeys(urls):
            yield Call(method="POST", url=f"{endpoint}/purge?url={quote(f'{url}*', safe='')}", headers=headers)

    return made
