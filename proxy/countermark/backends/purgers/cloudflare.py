"""Cloudflare (developers.cloudflare.com/api, "Purge Cached Content"): 100 tags or prefixes a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from countermark.backends.purgers.batches import batches
from countermark.backends.purgers.caller import Call, Calls
from countermark.settings.model import CdnSettings

ENDPOINT = "https://api.cloudflare.com"
MOST = 100


class _Answer(msgspec.Struct):
    success: bool = False


def calls(settings: CdnSettings) -> Calls:
    """URLs are purged as prefixes, which need no scheme and mean every query."""
    url = f"{settings.endpoint or ENDPOINT}/client/v4/zones/{settings.zone}/purge_cache"
    headers = {"Authorization": f"Bearer {settings.token}", "Content-Type": "application/json"}

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        key, items = ("tags", tags) if tags else ("prefixes", [_prefix(url) for url in urls])
        for batch in batches(items, MOST):
            yield Call(method="POST", url=url, headers=headers, body=msgspec.json.encode({key: batch}), agrees=_agrees)

    return made


def _prefix(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}".rstrip("/")


def _agrees(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_Answer).success
    except msgspec.DecodeError:
        return False
