"""Varnish, by the VCL of deploy/purge: PURGE with tags in `xkey-purge` (vmod xkey, or a ban), or of a URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from countermark.backends.purgers.batches import batches
from countermark.backends.purgers.caller import Call, Calls
from countermark.settings.model import CdnSettings

MOST = 100  # 1,900 bytes; a header line of Varnish holds 8 KiB unless http_req_hdr_len says more


def calls(settings: CdnSettings) -> Calls:
    """Every cache is told."""

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        for address in settings.addresses:
            for batch in batches(tags, MOST):
                yield Call(method="PURGE", url=f"{address.rstrip('/')}/", headers={"xkey-purge": " ".join(batch)})
            for url in () if tags else dict.fromkeys(urls):
                parts = urlsplit(url)
                yield Call(method="PURGE", url=f"{address.rstrip('/')}{parts.path}", headers={"Host": parts.netloc})

    return made
