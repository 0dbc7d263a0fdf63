"""AWS Signature Version 4 in the Authorization header (docs.aws.amazon.com/IAM, "Create a signed AWS API request")."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """A static key and what it signs for."""

    key_id: str
    secret: str
    region: str
    service: str


def signed_headers(credentials: Credentials, method: str, url: str, body: bytes, *, now: float) -> dict[str, str]:
    """The fields that sign a request whose URL has no query and nothing to escape."""
    parts = urlsplit(url)
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{credentials.region}/{credentials.service}/aws4_request"
    names = "host;x-amz-date"
    fields = f"host:{parts.netloc}\nx-amz-date:{date}\n"
    request = f"{method}\n{parts.path}\n\n{fields}\n{names}\n{sha256(body).hexdigest()}"
    text = f"{ALGORITHM}\n{date}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    derived = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        derived = hmac.digest(derived, part.encode(), "sha256")
    signature = hmac.digest(derived, text.encode(), "sha256").hex()
    line = f"{ALGORITHM} Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"X-Amz-Date": date, "Authorization": line}
