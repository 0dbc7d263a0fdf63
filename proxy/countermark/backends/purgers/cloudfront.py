"""Amazon CloudFront (docs.aws.amazon.com/cloudfront, CreateInvalidation): tags where the distribution has a CacheTagConfig,
else paths with a star."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from countermark.backends.purgers.batches import batches, prefixes
from countermark.backends.purgers.caller import Call, Calls
from countermark.backends.purgers.sigv4 import Credentials, signed_headers
from countermark.settings.model import CdnSettings

ENDPOINT = "https://cloudfront.amazonaws.com"
MOST_TAGS = 3000  # items that may be under way at once
MOST_STARS = 15  # of these, how many may end with a star

_XMLNS = "http://cloudfront.amazonaws.com/doc/2020-05-31/"


def calls(settings: CdnSettings, *, clock: Callable[[], float] = time.time) -> Calls:
    """Without tags, what has no URL, such as a key that is revoked, means everything: rather too much."""
    url = f"{settings.endpoint or ENDPOINT}/2020-05-31/distribution/{settings.zone}/invalidation"
    credentials = Credentials(settings.access_key_id, settings.secret_access_key, "us-east-1", "cloudfront")

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        if settings.tag_header and tags:
            found = batches([f"#{tag}" for tag in tags], MOST_TAGS)
        else:
            found = batches([f"{urlsplit(url).path}*" for url in prefixes(tags, urls)], MOST_STARS)
        for batch in found:
            body = _body(batch, reference=clock())
            headers = signed_headers(credentials, "POST", url, body, now=clock())
            yield Call(method="POST", url=url, headers=headers | {"Content-Type": "text/xml"}, body=body)

    return made


def _body(items: Sequence[str], *, reference: float) -> bytes:
    """Two calls with one reference are one invalidation, so that it names the moment."""
    caller = f"{reference:.6f}-{sha256(chr(10).join(items).encode()).hexdigest()[:16]}"
    paths = "".join(f"<Path>{escape(item)}</Path>" for item in items)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<InvalidationBatch xmlns="{_XMLNS}">'
        f"<Paths><Quantity>{len(items)}</Quantity><Items>{paths}</Items></Paths>"
        f"<CallerReference>{caller}</CallerReference></InvalidationBatch>"
    ).encode()
