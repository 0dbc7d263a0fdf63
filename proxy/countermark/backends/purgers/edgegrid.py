"""Akamai's EG1-HMAC-SHA256 (techdocs.akamai.com/developer, "Authenticate with EdgeGrid")."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlsplit

from countermark.core.encoding import base64
from countermark.settings.model import CdnSettings


def authorization(settings: CdnSettings, method: str, url: str, body: bytes, *, now: float, nonce: str) -> str:
    """The Authorization field of a request with a body, of whose fields none is signed."""
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H:%M:%S+0000")
    unsigned = (
        f"EG1-HMAC-SHA256 client_token={settings.client_token};access_token={settings.access_token};"
        f"timestamp={stamp};nonce={nonce};"
    )
    content = base64(sha256(body).digest())
    text = "\t".join((method, parts.scheme, parts.netloc, parts.path, "", content, unsigned))
    key = base64(hmac.digest(settings.client_secret.encode(), stamp.encode(), "sha256"))
    return f"{unsigned}signature={base64(hmac.digest(key.encode(), text.encode(), 'sha256'))}"
