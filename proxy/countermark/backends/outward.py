"""HTTP clients for what is called outside beside origins: CDNs and webhooks."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar

_LATER = frozenset({408, 425, 429})


def open_session(timeout: float) -> ClientSession:
    """A client whose requests have so many seconds each; call it in the loop that will use it."""
    return ClientSession(
        timeout=ClientTimeout(total=timeout),
        headers={"User-Agent": "countermark"},
        cookie_jar=DummyCookieJar(),
        trust_env=False,  # a proxy from the environment would see credentials
    )


def retry_after(response: ClientResponse) -> float | None:
    """Seconds, of a number or a date (RFC 9110 §10.2.3); None where there is none that makes sense."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def hopeless(status: int) -> bool:
    """Whether the same request would be refused again."""
    return status < 500 and status not in _LATER
