"""nginx: PURGE of a URL and every query behind it, as NGINX Plus (`proxy_cache_purge`) and the module ngx_cache_purge from
version 2.4 take it. nginx as it is distributed purges nothing, and none of them knows surrogate keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from countermark.backends.purgers.batches import prefixes
from countermark.backends.purgers.caller import Call, Calls
from countermark.settings.model import CdnSettings

# NGINX Plus answers 204 either way; the module says with these that it kept nothing.
NOTHING = frozenset({404, 412})


def calls(settings: CdnSettings) -> Calls:
    """Every cache is told. What only has tags, such as a key that is revoked, empties the cache: rather too much."""

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        for url in prefixes(tags, urls):
            parts = urlsplit(url)
            headers = {"Host": parts.netloc} if parts.netloc else {}
            for address in settings.addresses:
                yield Call(method="PURGE", url=f"{address.rstrip('/')}{parts.path}*", headers=headers, nothing=NOTHING)

    return made
